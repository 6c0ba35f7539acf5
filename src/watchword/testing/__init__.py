"""What users and adapters test with: contract suites, framework behaviour, real peers on loopback."""
