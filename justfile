# Short names for the commands of CONTRIBUTING.md; `just` lists them. Nothing depends on this file: each recipe is one command to type.

_list:
    @just --list --unsorted

# Format, lints, every test on SQLite and PostgreSQL, the adapters rebuilt, fuzzing
check:
    tests/run

# The tests in tests/it whose path contains NAME, after format, lints and unit tests
t NAME:
    tests/run {{ quote(NAME) }}

# Rewrite schemas/openapi.json from the handlers
api:
    cargo run --quiet --bin postrider -- openapi > target/openapi.json
    mv target/openapi.json schemas/openapi.json

# Rebuild the components in plugins/dist and their digests
adapters:
    plugins/build

# Rewrite schemas and docs/networks.md from the catalogue; read the diff
catalogue:
    POSTRIDER_UPDATE_SCHEMAS=1 tests/run

# The demo: a sample program, a tracker, real traffic
demo *ARGS:
    cargo run --release --bin postrider -- demo {{ ARGS }}

# The benchmark against the budgets; `just load --quick` takes a third of the time
load *ARGS:
    cargo run --release -p postrider-load -- {{ ARGS }}

# Fuzz all targets, or one: `just fuzz inbound`
fuzz *ARGS:
    tests/fuzz/run {{ ARGS }}

# Licences, banned crates, sources and advisories of dependencies
deny:
    cargo deny check

# The unit, the Dockerfile and, if there is one, the package in target/debian
packaging:
    packaging/check

# The Debian package, in target/debian
deb:
    cargo deb -p postrider --profile dist

# The container image
image:
    docker build -t postrider .
