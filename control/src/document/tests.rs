use steer::{Spec, Table};

use super::{Finding, read};

fn compile(text: &str) -> Result<Table, Vec<Finding>> {
    let env = |name: &str| (name == "HOST").then(|| "www.example.com".to_owned());
    read("table.toml", text, &env, |spec: Spec| Table::compile(&spec))
}

const GOOD: &str = r#"
[[regions]]
name = "eu"
latitude = 50.1
longitude = 8

[[pools]]
name = "web"
placements = [{ region = "eu", origins = ["10.0.0.1:80"] }]

[[routes]]
name = "all"
hosts = ["${HOST}", "${ALIAS:-example.com}"]
pool = "web"
"#;

/// `line:column key` of every finding of the good text after a replacement.
fn findings(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from), "{from}");
    let found = compile(&GOOD.replacen(from, to, 1)).unwrap_err();
    found.iter().map(|f| format!("{}:{} {} | {}", f.line, f.column, f.key, f.problem)).collect()
}

#[test]
fn a_good_text_is_read_and_variables_are_filled_in() {
    let table = compile(GOOD).unwrap();
    assert_eq!(table.routes[0].hosts, ["www.example.com", "example.com"]);
}

#[test]
fn structural_mistakes_have_positions() {
    assert_eq!(
        findings("name = \"eu\"", "name = \"eu\"\nwieght = 3"),
        ["4:1 regions[0].wieght | there is no key \"wieght\" here; did you mean \"weight\"?"]
    );
    assert_eq!(
        findings("longitude = 8", "longitude = \"east\""),
        ["5:1 regions[0].longitude | a number is expected, this is the string \"east\""]
    );
    assert_eq!(
        findings("longitude = 8", ""),
        ["2:1 regions[0].longitude | the key \"longitude\" is missing"]
    );
    assert_eq!(
        findings("longitude = 8", "longitude = 8\nweight = 300"),
        ["6:1 regions[0].weight | 300 is more than 100"]
    );
    assert_eq!(
        findings("longitude = 8", "longitude = 8\nstate = \"activ\""),
        ["6:1 regions[0].state | \"activ\" is not one of \"active\", \"standby\", \"drain\", \"off\""]
    );
    assert_eq!(
        findings("longitude = 8", "longitude = 8\nname = \"twice\"")[0].split('|').next(),
        Some("6:1  ")
    );
    assert_eq!(
        findings("region = \"eu\"", "region = \"EU\""),
        [
            "9:17 pools[0].placements[0].region | \"EU\" is not a name of 1 to 63 lower-case letters, digits, `-`, `_` or `.`"
        ]
    );
    assert_eq!(
        findings("\"10.0.0.1:80\"", "\"10.0.0.1:80\", 7"),
        ["9:58 pools[0].placements[0].origins[1] | a string is expected, this is 7"]
    );
    assert_eq!(
        findings("pool = \"web\"\n", "pool = \"web\"\nsteering = 7\n"),
        [
            "15:1 routes[0].steering | 7 is not one of \"nearest\", \"latency\", \"geo\", \"weighted\", \"active-passive\""
        ]
    );
}

#[test]
fn mistakes_of_meaning_have_positions_too() {
    assert_eq!(
        findings("pool = \"web\"", "pool = \"wob\""),
        ["14:1 routes[0].pool | no pool is named \"wob\" (there are web)"]
    );
    assert_eq!(
        findings("${HOST}", "${NOWHERE}"),
        [
            "13:10 routes[0].hosts[0] | the environment variable \"NOWHERE\" is not set and has no default here",
        ]
    );
}

#[test]
fn one_mistake_does_not_hide_another() {
    let text = GOOD
        .replace("latitude = 50.1", "latitude = 950.1\nwieght = 1")
        .replace("10.0.0.1:80", "10.0.0.1")
        .replace("pool = \"web\"", "pool = \"wob\"\npath_prefix = 7");
    let keys: Vec<String> = compile(&text).unwrap_err().into_iter().map(|finding| finding.key).collect();
    assert_eq!(
        keys,
        [
            "regions[0].latitude",
            "regions[0].wieght",
            "pools[0].placements[0].origins[0]",
            "routes[0].pool",
            "routes[0].path_prefix"
        ]
    );
}

#[test]
fn variables_cannot_change_the_structure() {
    let env = |_: &str| Some("x\"]\n[[regions]]".to_owned());
    let found =
        read("t", &GOOD.replace(", \"${ALIAS:-example.com}\"", ""), &env, |spec: Spec| Table::compile(&spec))
            .unwrap_err();
    assert!(found.iter().all(|finding| finding.problem.contains("is not a host name")), "{found:?}");
}

#[test]
fn syntax_errors_are_told_with_their_place() {
    let found = compile("[[regions]\nname = \"a\"\nx = = 3\n").unwrap_err();
    assert!(found[0].problem.starts_with("this is not TOML"), "{found:?}");
    assert_eq!(found[0].line, 1);
}

#[test]
fn keys_below_a_section_with_an_example_have_examples_of_their_own() {
    let text = GOOD.replace(
        "pool = \"web\"",
        "pool = \"web\"\nretry = { atempts = 2, statuses = [404, \"x\"], idempotency_key = \"world\" }",
    );
    let found = compile(&text).unwrap_err();
    let told: Vec<(&str, &str)> =
        found.iter().map(|finding| (finding.problem.as_str(), finding.example.as_str())).collect();
    assert_eq!(
        told,
        [
            ("there is no key \"atempts\" here; did you mean \"attempts\"?", "attempts = 2"),
            ("404 is less than 500", "statuses = [503]"),
            ("a whole number is expected, this is the string \"x\"", "statuses = [503]"),
            ("\"world\" is not one of \"off\", \"region\", \"global\"", "idempotency_key = \"region\""),
        ]
    );
}
