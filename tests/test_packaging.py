"""pyproject.toml, constraints.txt and the environments of conda name the same packages, by name and version alone."""

import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from eventspeech import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]
PINNED = {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in CONSTRAINTS}
EXTRAS = PROJECT["optional-dependencies"]
DIRECT = [Requirement(one) for one in [*PROJECT["dependencies"], *EXTRAS["test"]]]
DEVELOPMENT = [one for one in map(Requirement, EXTRAS["dev"]) if one.name != PROJECT["name"]]
PYTHONS = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
GENN = "https://github.com/genn-team/genn/archive/refs/tags/"


def tracked_texts() -> dict[str, str]:
    try:
        names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    texts = {}
    for name in names.splitlines():
        content = (ROOT / name).read_bytes() if (ROOT / name).is_file() else b""
        if b"\0" not in content:
            texts[name] = content.decode("utf-8")
    return texts


def test_constraints_pin_each_package_once():
    assert len(PINNED) == len(CONSTRAINTS) > 100
    for one in CONSTRAINTS:
        assert one.url is None and re.fullmatch(r"==[\w.!+]+", str(one.specifier)), one
    assert [str(one) for one in CONSTRAINTS] == sorted(str(one) for one in CONSTRAINTS)


@pytest.mark.parametrize("requirement", [*DIRECT, *DEVELOPMENT], ids=str)
def test_constraints_fulfil_pyproject(requirement):
    assert requirement.specifier.contains(PINNED[canonicalize_name(requirement.name)])


def installed_pins():
    """Return the distributions that are installed here at their pin."""
    found = []
    for name, version in PINNED.items():
        try:
            found.append(distribution(name))
        except PackageNotFoundError:  # belongs to an extra or to another Python
            continue
        if found[-1].version != version:
            found.pop()
    if len(found) < 100:
        pytest.skip("this environment was not installed with constraints.txt")
    return found


def test_the_oldest_python_promised_is_the_first_one_listed():
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"
    assert PYTHONS == [f"3.{minor}" for minor in range(11, 11 + len(PYTHONS))]


def test_every_pin_serves_every_python_promised():
    # the first of each, as Debian 12 ships 3.11.2: a pin that asks for 3.11.5 cannot be installed there
    refused = [
        f"{pin.name}=={pin.version} needs Python {pin.metadata['Requires-Python']}"
        for pin in installed_pins()
        if any(f"{python}.0" not in SpecifierSet(pin.metadata["Requires-Python"] or "") for python in PYTHONS)
    ]
    assert refused == []


def test_no_pin_was_compiled_here():
    # wheels of an index name the systems they serve (manylinux), those that pip builds itself the plain one
    built = [
        pin.name for pin in installed_pins() if re.search(r"^Tag: .*-linux_\w+$", pin.read_text("WHEEL") or "", re.M)
    ]
    assert built == []


@pytest.mark.parametrize(("name", "extras"), [("environment", []), ("environment-gpu", ["test"])])
def test_environment_holds_the_direct_packages_at_the_constraints(name, extras):
    environment = yaml.safe_load((ROOT / f"{name}.yml").read_text(encoding="utf-8"))
    assert environment["name"] == name.replace("environment", "eventspeech")
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    requirements = [Requirement(one) for one in pip]
    by_address = {one.name: one.url for one in requirements if one.url}
    assert list(by_address) == (["pygenn"] if name == "environment-gpu" else [])
    assert all(url.startswith(GENN) for url in by_address.values())
    needed = map(Requirement, [*PROJECT["dependencies"], *(one for extra in extras for one in EXTRAS[extra])])
    expected = {canonicalize_name(one.name): PINNED[canonicalize_name(one.name)] for one in needed}
    assert {canonicalize_name(one.name): str(one.specifier)[2:] for one in requirements if not one.url} == expected
    assert "python=3.11" in environment["dependencies"], "the version that constraints.txt was resolved for"


def test_the_environment_of_jobs_is_lean():
    text = (ROOT / "environment.yml").read_text(encoding="utf-8")
    dependencies = yaml.safe_load(text)["dependencies"]
    assert [one.split("=")[0].split(">")[0] for one in dependencies if isinstance(one, str)] == ["python", "pip", "git"]


def test_readme_and_environment_name_the_same_genn():
    found = {
        name: set(re.findall(re.escape(GENN) + r"([\d.]+)\.zip", (ROOT / name).read_text(encoding="utf-8")))
        for name in ("environment-gpu.yml", "README.md")
    }
    assert found["environment-gpu.yml"] == found["README.md"] and len(found["README.md"]) == 1


def test_the_checks_of_a_commit_come_with_the_development_extra():
    configuration = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    hooks = [hook for repository in configuration["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in configuration["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}, "nothing is downloaded"
    package = {"lint-imports": "import-linter"}  # where a command has another name
    tools = {package.get(command, command) for command in (hook["entry"].split()[0] for hook in hooks)}
    assert {"import-linter", "mypy", "ruff", "snakefmt", "snakemake"} <= tools
    assert tools <= {one.name for one in [*DIRECT, *DEVELOPMENT]}
    assert "pre-commit run --all-files" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_versions_agree():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert PROJECT["version"] == citation["version"] == __version__
    assert f"## {__version__}" in changes
    assert citation["license"] == PROJECT["license"]


def test_licence():
    assert "GNU GENERAL PUBLIC LICENSE\n                       Version 3" in (ROOT / "LICENSE").read_text(
        encoding="utf-8"
    )


def test_nothing_names_a_package_registry():
    # where packages come from is the business of whoever installs; split so that this file does not name one either
    hosts = ["pypi" + ".org", "files.python" + "hosted", "anaconda" + ".org", "--index" + "-url", "--extra-" + "index"]
    found = [f"{name}: {host}" for name, text in tracked_texts().items() for host in hosts if host in text]
    found += [name for name, text in tracked_texts().items() if re.search(r"https?://\S+(\.whl|/simple\b)", text)]
    assert found == []


def test_readme_has_exactly_two_commands_to_copy():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)
    shell = [body for language, body in blocks if language in ("sh", "bash", "shell")]
    assert len(shell) == 2 and [language for language, _ in blocks[:2]] == ["sh", "sh"]
    assert all(language in ("sh", "console", "text", "yaml") for language, _ in blocks)
    assert all("-c constraints.txt" in body and "python3 -m venv" in body for body in shell), "each sets itself up"
