"""The `ftui` command. Groups are imported only when called: `ftui --help` costs milliseconds."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ftui import __version__
from ftui.cli.output import example, json_line
from ftui.core.errors import FtuiError, ModelError
from ftui.core.text import sanitize

if TYPE_CHECKING:
    from ftui.ui.screens.chat import ChatRequest

# name -> one line of help; each lives in the module of its name and exports `command`.
COMMANDS = {
    "demo": "The whole job in three minutes: data, training, before and after.",
    "doctor": "What this machine can do, and what is in the way.",
    "data": "Inspect, annotate and export datasets.",
    "recipe": "Write and check recipes.",
    "train": "Start a run that outlives your connection.",
    "runs": "List, watch, stop and resume runs.",
    "chat": "Ask the base model and adapters the same question.",
}


class _Lazy(click.Group):
    """Finds a command's module by its name; what is no command is the directory or the dataset to open."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"ftui.cli.{name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if (
            args
            and args[0] not in COMMANDS
            and (Path(args[0]).exists() or args[0] in (".", "..") or os.sep in args[0])
        ):
            return "open", _open, args
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Lazy,
    invoke_without_command=True,
    epilog=example("ftui demo", "ftui ~/support-bot"),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    options_metavar="[OPTIONS]",
    subcommand_metavar="[DIR | FILE] | COMMAND [ARGS]...",
)
@click.version_option(__version__, "--version", prog_name="ftui")
@click.pass_context
def cli(ctx: click.Context) -> int:
    """The workstation for fine-tuning language models that lives in a terminal.

    `ftui [DIR]` opens a workspace: DIR, else the nearest parent with an ftui.toml, else $FTUI_WORKSPACE,
    else your platform's data directory. `ftui FILE` opens a dataset in it.
    """
    if ctx.invoked_subcommand is None:
        return run_app(None)
    return 0


@click.command("open")
@click.argument("path", type=click.Path(path_type=Path))
def _open(path: Path) -> int:
    return run_app(None, dataset=path.absolute()) if path.is_file() else run_app(path)


def run_app(
    directory: Path | None,
    *,
    dataset: Path | None = None,
    demo_steps: int | None = None,
    chat: ChatRequest | None = None,
) -> int:
    """Opens the screen on a workspace; on the Chat pane with `chat`.

    dataset: an absolute path, opened at once; without `directory`, the workspace it lies in is meant.
    demo_steps: not None starts the demo's guide; optimizer steps of its run, 0 the recipe's.
    Raises FtuiError where there is no terminal.
    """
    if not all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):
        raise FtuiError(
            "the screen needs a terminal", "run it in one, or see `ftui --help` for the headless commands"
        )
    from ftui.runs.workspace import find_workspace

    workspace = find_workspace(directory, dataset.parent if dataset is not None else Path.cwd())
    from ftui.ui.app import FtuiApp

    if demo_steps is not None:
        dataset = workspace.datasets / "tickets.jsonl"
    app = FtuiApp(workspace, dataset=dataset, demo_steps=demo_steps, chat=chat)
    app.run()
    return 3 if app.return_code else 0


def main(argv: list[str] | None = None) -> None:
    """Entry point. Exits 0 done, 1 the answer is no, 2 wrong input, 3 the run failed, 130 interrupted."""
    sys.exit(_exit_code(argv))


def _exit_code(argv: list[str] | None) -> int:
    words = sys.argv[1:] if argv is None else argv
    # Looked for by hand: what is wrong may be the very words that click would have found it among.
    as_json = "--json" in words[: words.index("--") if "--" in words else None]
    try:
        result: Any = cli.main(argv, prog_name="ftui", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except FtuiError as error:
        print(f"ftui: {sanitize(str(error), lines=False)}", file=sys.stderr)
        _tell_error(as_json, error.message, error.hint, error.where)
        return 3 if isinstance(error, ModelError) else 2
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "ftui"
        print(
            f"{command}: {sanitize(error.format_message(), lines=False)} (see `{command} --help`)",
            file=sys.stderr,
        )
        _tell_error(as_json, error.format_message(), f"see `{command} --help`")
        return 2
    except click.ClickException as error:
        print(f"ftui: {sanitize(error.format_message(), lines=False)}", file=sys.stderr)
        _tell_error(as_json, error.format_message())
        return 2
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:
        _let_go_of_stdout()
        return 0


def _tell_error(as_json: bool, message: str, hint: str = "", where: str = "") -> None:
    """The one object a script gets in place of an answer; a stream's last."""
    if not as_json:
        return
    try:
        print(json_line({"error": {"message": message, "hint": hint, "where": where}}), flush=True)
    except BrokenPipeError:
        _let_go_of_stdout()


def _let_go_of_stdout() -> None:
    """The reader went away (`| head`): not an error, and nothing may be written on exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
