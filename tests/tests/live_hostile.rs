//! Live: attacks that stand for others of their kind, each beside an innocent program. `cargo xtask hostile` runs all.

use tests::hostile::attacks::KINDS;
use tests::hostile::report::Campaign;
use tests::live::alone;

#[test]
#[ignore = "some attacks still make a recording end late; `cargo xtask hostile` runs them all and says which"]
fn no_attack_costs_others_anything_or_misleads_about_them() {
    let _alone = alone();
    let mut campaign = Campaign::new().expect("what attacks are made with");
    for attack in KINDS.iter().flat_map(|kind| kind.attacks) {
        if attack.is_representative {
            campaign.run(attack).expect("a recording without an attack");
        }
    }
    eprintln!("{}\n\n{}", campaign.summary(), campaign.tables());
    let breaches = campaign.breaches();
    assert!(
        breaches.is_empty(),
        "{} breaches:\n{}",
        breaches.len(),
        breaches.join("\n")
    );
}
