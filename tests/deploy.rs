//! What `examples/deploy` holds is what systemd, Kubernetes and the gateway understand. Owns reading it with the
//! programs that know; those a machine need not have are skipped, unless `FORMGATE_REQUIRE_ALL=1`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_formgate");

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/deploy")
        .join(name)
}

/// Whether a line of shell succeeds; if not, the test that needs what it looks for is skipped.
fn has(what: &str, line: &str) -> bool {
    let found = Command::new("sh").args(["-c", line]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let all = std::env::var("FORMGATE_REQUIRE_ALL").is_ok_and(|value| value == "1");
    assert!(!all, "{what} is not installed, and FORMGATE_REQUIRE_ALL=1");
    let _ = writeln!(std::io::stderr(), "skipped: {what} is not installed");
    false
}

/// A gateway without anything of these tests in its environment.
fn formgate(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).env_clear();
    command
}

fn assert_well(command: &mut Command) {
    let ran = command.output().expect("it runs");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(ran.status.success(), "{said}");
    assert!(!said.contains("warning"), "{said}");
}

#[test]
fn systemd_knows_every_word_of_the_units() {
    if !has("systemd-analyze", "command -v systemd-analyze") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut units = Vec::new();
    for name in ["formgate.service", "formgate.socket"] {
        let unit = fs::read_to_string(example("systemd").join(name)).expect("text");
        // systemd looks whether the program is there.
        let unit = unit.replace("/usr/local/bin/formgate", PROGRAM);
        let path = folder.path().join(name);
        fs::write(&path, unit).expect("writable");
        units.push(path);
    }
    let verified = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&units)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&verified.stderr);
    // It only warns of what it does not know. What it says of the machine's own units is not ours.
    let ours: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("formgate"))
        .collect();
    assert!(verified.status.success() && ours.is_empty(), "{said}");
    // Out of 100; a service that is left as it is has 96.
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
        .arg(&units[0])
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&judged.stdout);
    assert!(judged.status.success(), "{said}");
}

#[test]
fn the_service_s_configuration_loads() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = fs::read_to_string(example("systemd/formgate.toml")).expect("text");
    let secrets = "/run/credentials/formgate.service";
    assert!(config.contains(secrets));
    let config = config.replace(secrets, &folder.path().display().to_string());
    fs::write(folder.path().join("formgate.toml"), config).expect("writable");
    fs::write(
        folder.path().join("gateway-key"),
        "0123456789abcdef".repeat(4),
    )
    .expect("writable");
    fs::create_dir(folder.path().join("rules")).expect("writable");
    fs::write(
        folder.path().join("rules/contact.toml"),
        "[form]\nsubmit = \"POST /contact\"\n",
    )
    .expect("writable");
    assert_well(formgate(&["check", "--config", "formgate.toml"]).current_dir(folder.path()));
}

#[test]
fn the_container_s_variables_are_the_gateway_s() {
    let text = fs::read_to_string(example("container/Containerfile")).expect("text");
    let lines = text.lines().skip_while(|line| !line.starts_with("ENV "));
    let words = lines
        .take_while(|line| line.starts_with("ENV ") || line.starts_with(' '))
        .flat_map(str::split_whitespace);
    let variables: Vec<(&str, &str)> = words.filter_map(|word| word.split_once('=')).collect();
    assert!(variables.len() >= 4, "{variables:?}");
    let mut command = formgate(&["config"]);
    let ran = command
        .envs(variables.iter().copied())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    for (name, value) in variables {
        let line = said.lines().find(|line| line.contains(name));
        assert!(
            line.is_some_and(|line| line.contains(value)),
            "{name}={value}:\n{said}"
        );
    }
}

/// The objects of the file, by kind and name.
fn objects() -> Option<Vec<Value>> {
    let file = example("kubernetes/formgate.yaml");
    let script =
        "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    // The first that has it: the system's own has what the system's packages bring.
    let python = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
        let tried = Command::new(python).args(["-c", "import yaml"]).output();
        tried.is_ok_and(|output| output.status.success())
    });
    if !has(
        "python3 with yaml",
        if python.is_some() { "true" } else { "false" },
    ) {
        return None;
    }
    let ran = Command::new(python?)
        .args(["-c", script])
        .arg(file)
        .output()
        .expect("it runs");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    Some(serde_json::from_slice(&ran.stdout).expect("JSON"))
}

#[test]
fn what_kubernetes_is_told_fits_together() {
    let Some(objects) = objects() else {
        return;
    };
    let find = |kind: &str, name: &str| -> &Value {
        let found = objects
            .iter()
            .find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
        found.unwrap_or(&Value::Null)
    };
    let deployment = find("Deployment", "formgate");
    let pod = &deployment["spec"]["template"];
    let container = &pod["spec"]["containers"][0];
    let labels = &pod["metadata"]["labels"];
    for selector in [
        &deployment["spec"]["selector"]["matchLabels"],
        &find("Service", "formgate")["spec"]["selector"],
        &find("PodDisruptionBudget", "formgate")["spec"]["selector"]["matchLabels"],
        &find("NetworkPolicy", "formgate")["spec"]["podSelector"]["matchLabels"],
    ] {
        assert_eq!(selector, labels);
    }
    let ports = container["ports"].as_array().expect("ports");
    let port_of = |name: &Value| {
        let port = ports.iter().find(|port| port["name"] == *name);
        port.map(|port| port["containerPort"].clone())
    };
    let config = find("ConfigMap", "formgate")["data"]["formgate.toml"]
        .as_str()
        .expect("text");
    for (port, path) in [("readinessProbe", "/readyz"), ("livenessProbe", "/livez")] {
        let probe = &container[port]["httpGet"];
        assert_eq!(probe["path"], path);
        assert_eq!(port_of(&probe["port"]), Some(8081.into()));
    }
    let service = &find("Service", "formgate")["spec"]["ports"][0];
    assert_eq!(port_of(&service["targetPort"]), Some(8080.into()));
    assert!(config.contains("\"0.0.0.0:8080\"") && config.contains("\"0.0.0.0:8081\""));
    // The program is given the time that it may take.
    assert_eq!(pod["spec"]["terminationGracePeriodSeconds"], 45);
    assert!(config.contains("drain_delay = \"5s\"") && config.contains("drain = \"30s\""));

    // And it understands what is mounted where it looks.
    let folder = tempfile::tempdir().expect("a folder");
    let place = |path: &str| {
        folder
            .path()
            .join(path.trim_start_matches("/etc/formgate/"))
    };
    for file in ["config", "rules", "secrets"] {
        fs::create_dir(folder.path().join(file)).expect("writable");
    }
    let here = format!("{}/", folder.path().display());
    let local = |text: &str| text.replace("/etc/formgate/", &here);
    for mount in container["volumeMounts"].as_array().expect("mounts") {
        let path = mount["mountPath"].as_str().expect("a path");
        assert!(path == "/tmp" || place(path).is_dir(), "{path}");
    }
    fs::write(place("config/formgate.toml"), local(config)).expect("writable");
    let rules = find("ConfigMap", "formgate-rules")["data"]
        .as_object()
        .expect("rules");
    for (name, rules) in rules {
        let text = local(rules.as_str().expect("text"));
        fs::write(place("rules").join(name), text).expect("writable");
    }
    fs::write(place("secrets/gateway-key"), "0123456789abcdef".repeat(4)).expect("writable");
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    fs::write(place("secrets/hook-secret"), secret).expect("writable");
    let args = container["args"].as_array().expect("arguments");
    assert_eq!(args[0], "serve");
    let config = local(args[2].as_str().expect("a path"));
    assert_well(&mut formgate(&["check", "--config", &config]));
}
