"""What this machine can do for training, and what is in the way: the facts behind `ftui doctor`."""

from __future__ import annotations

import configparser
import importlib.util
import json
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ftui import __version__
from ftui.gpu import nvml
from ftui.gpu.host import disk_free
from ftui.runs import scope
from ftui.runs.manifest import PACKAGES, package_versions
from ftui.runs.process import child_environment, python_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ftui.runs.workspace import Workspace

# Everything ftui imports at one time or another; a version is told for each.
_PACKAGES = (*PACKAGES, "datasets", "textual", "pydantic", "orjson", "gguf", "nvidia-ml-py", "psutil")
_REQUIRED = ("torch", "transformers", "tokenizers", "peft", "safetensors")
_PROBE_SECONDS = 180
_GIB = 1 << 30
_DISK_ERROR = 1 * _GIB
_DISK_WARNING = 10 * _GIB
# systemd reads these in order, the last word wins.
_LOGIND = ("usr/lib/systemd/logind.conf", "etc/systemd/logind.conf")
_LOGIND_DROP_INS = ("usr/lib/systemd/logind.conf.d", "etc/systemd/logind.conf.d", "run/systemd/logind.conf.d")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in the way, and what to do. An error stops training; a hint is merely good to know."""

    severity: Literal["error", "warning", "hint"]
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """probe: what `ftui.engine.probe` found, with "error" when torch does not load."""

    python: str
    packages: dict[str, str | None]
    gpus: tuple[nvml.Gpu, ...]
    driver: str
    probe: dict[str, Any]
    disk_free: int | None
    problems: tuple[Problem, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """The object of `ftui doctor --json`."""
        engine = self.probe
        return {
            "python": self.python,
            "packages": self.packages,
            "gpus": [asdict(gpu) for gpu in self.gpus],
            "driver": self.driver,
            "cuda": engine.get("cuda", ""),
            "devices": engine.get("devices", []),
            "bf16": engine.get("bf16"),
            "bitsandbytes": engine.get("bitsandbytes", {"ok": False, "message": engine.get("error", "")}),
            "flash_attention": engine.get("flash_attention", False),
            "disk_free_bytes": self.disk_free,
            "problems": [asdict(problem) for problem in self.problems],
        }


def inspect_machine(workspace: Workspace) -> Machine:
    """Looks at this machine; takes as long as importing torch does, in another process."""
    packages = {"ftui": __version__, **package_versions(_PACKAGES)}
    gpus, probe = nvml.snapshot(), probe_engine()
    free = disk_free(workspace.root)
    problems = [
        *package_problems(packages, probe),
        *gpu_problems(gpus, probe),
        *disk_problems(free, workspace.root),
        *detach_problems(),
        *_pip_problems(),
    ]
    order = {"error": 0, "warning": 1, "hint": 2}
    return Machine(
        python=platform.python_version(),
        packages=packages,
        gpus=gpus,
        driver=nvml.driver(),
        probe=probe,
        disk_free=free,
        problems=tuple(sorted(problems, key=lambda problem: order[problem.severity])),
    )


def probe_engine() -> dict[str, Any]:
    """What torch can do here, asked in a process of its own; {"error": why} when it does not load."""
    try:
        done = subprocess.run(
            python_command("ftui.engine.probe"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            env=child_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"importing torch took more than {_PROBE_SECONDS} s"}
    except OSError as error:
        return {"error": f"the probe did not start: {error.strerror}"}
    try:
        answer = json.loads(done.stdout)
    except ValueError:  # a native library took the process down
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return {"error": words[-1][:300] if words else f"importing torch ended with {done.returncode}"}
    return answer if isinstance(answer, dict) else {"error": "the probe gave no answer"}


def package_problems(packages: dict[str, str | None], probe: dict[str, Any]) -> Iterable[Problem]:
    """Missing packages, a torch that does not load, a bitsandbytes that does not work."""
    missing = [name for name in _REQUIRED if not packages.get(name)]
    if missing:
        yield Problem(
            "error", f"not installed: {', '.join(missing)}", "install ftui again: `pip install -U ftui`"
        )
    elif probe.get("error"):
        yield Problem(
            "error", f"torch does not load: {probe['error']}", "install ftui again in a fresh environment"
        )
    bits = probe.get("bitsandbytes")
    if isinstance(bits, dict) and not bits.get("ok"):
        yield Problem(
            "warning",
            f"4-bit training does not work: {bits.get('message')}",
            "reinstall bitsandbytes, or set quantization.bits = 16",
        )


def gpu_problems(gpus: tuple[nvml.Gpu, ...], probe: dict[str, Any]) -> Iterable[Problem]:
    """A GPU that torch does not reach is a problem; none at all is only good to know."""
    if gpus and not probe.get("devices") and not probe.get("error"):
        if not probe.get("cuda"):
            yield Problem(
                "error",
                "there is a GPU, but torch was installed without CUDA",
                "install a CUDA build of torch",
            )
        else:
            yield Problem(
                "error",
                f"there is a GPU, but torch (CUDA {probe['cuda']}) does not reach it",
                "update the NVIDIA driver, and see that CUDA_VISIBLE_DEVICES is not empty",
            )
    if not gpus and not probe.get("devices"):
        yield Problem("hint", "no NVIDIA GPU: models up to about 1B parameters train on the CPU, slowly")
    for gpu in gpus:
        if gpu.throttle:
            yield Problem(
                "warning", f"GPU {gpu.index} is slowed down: {', '.join(gpu.throttle)}", "see to its cooling"
            )


def disk_problems(free: int | None, place: Path) -> Iterable[Problem]:
    """Too little room for checkpoints."""
    if free is None or free >= _DISK_WARNING:
        return
    severity: Literal["error", "warning"] = "error" if free < _DISK_ERROR else "warning"
    yield Problem(
        severity, f"{free / _GIB:.1f} GiB free where {place} is", "free some, or use another workspace"
    )


def detach_problems(
    root: Path = Path("/"), user: str = "", works: Callable[[], bool] = scope.scopes_work
) -> Iterable[Problem]:
    """systemd set to end all that a user started when they log out: only a scope of the user's own manager
    survives that, and the manager only with linger. works: whether scopes can be made."""
    user = user or scope.user_name()
    if not _kills_user_processes(root):
        return
    if not scope.lingers(user, root / "var/lib/systemd/linger"):
        yield Problem(
            "warning",
            "this machine ends your runs when you log out (KillUserProcesses=yes, linger is off)",
            f"`loginctl enable-linger {user}` lets those live that start after it",
        )
    elif not works():
        yield Problem(
            "warning",
            "this machine ends your runs when you log out (KillUserProcesses=yes, no systemd scope)",
            "`systemd-run --user --scope true` says what is wrong",
        )


def _kills_user_processes(root: Path) -> bool:
    drop_ins = [path for folder in _LOGIND_DROP_INS for path in (root / folder).glob("*.conf")]
    answer = False
    for path in [*(root / name for name in _LOGIND), *sorted(drop_ins, key=lambda path: path.name)]:
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        try:
            parser.read(path, encoding="utf-8")
            answer = parser.getboolean("Login", "KillUserProcesses", fallback=answer)
        except (OSError, ValueError, configparser.Error):
            continue
    return answer


def _pip_problems() -> Iterable[Problem]:
    if importlib.util.find_spec("pip") is None:
        yield Problem(
            "warning",
            "pip is missing: the default model `demo` cannot be fetched",
            "`python -m ensurepip`, or `uv pip install pip`",
        )
