//! What the session says while it runs, on its way to the screen. Both run in one thread, so nobody waits for the other.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::profile::Recording;
use crate::session::{Listener, Progress, Summary};

/// One thing that it says.
pub(super) enum News {
    Progress(Progress),
    Interval(Box<Recording>),
    Accounts(Box<Summary>),
}

/// The end that the session has. What is not read is read before the session goes on.
pub(super) struct Feed(UnboundedSender<News>);

/// Both ends.
pub(super) fn feed() -> (Feed, UnboundedReceiver<News>) {
    let (sender, receiver) = unbounded_channel();
    (Feed(sender), receiver)
}

impl Feed {
    fn say(&self, news: News) {
        // The screen may be gone already.
        let _ = self.0.send(news);
    }
}

impl Listener for Feed {
    fn progress(&mut self, progress: Progress) {
        self.say(News::Progress(progress));
    }

    fn part(&mut self, part: Recording) {
        self.say(News::Interval(Box::new(part)));
    }

    fn wants_accounts(&self) -> bool {
        true
    }

    fn accounts(&mut self, summary: Summary) {
        self.say(News::Accounts(Box::new(summary)));
    }
}
