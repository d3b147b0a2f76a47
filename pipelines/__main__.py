"""The command from its first moment: signals are handled before anything else is imported."""

from __future__ import annotations

import sys

from pipelines.process import interruption


def main() -> None:
    """Run `person-sync` and end the process."""
    try:
        interruption.install(sys.argv[1:])
        from pipelines.process.ending import end_process

        end_process(_command)
    except SystemExit:
        raise
    except BaseException:  # a signal in the middle of an import may come as any error
        if interruption.is_noticed():
            interruption.end()
        raise


def _command() -> int:
    from pipelines import cli

    exit_code: int = cli.main(standalone_mode=False)
    return exit_code


if __name__ == "__main__":
    main()
