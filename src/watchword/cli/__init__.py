"""The command line. This module names the commands; each loads what it needs when it is run.

Exit codes: 0; 1 refused or failed; 2 wrong usage. What goes wrong is one sentence on stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter

from watchword.cli.refusal import Misused, Refused, explained

REFUSED = 1
MISUSED = 2


def _version() -> str:
    from importlib.metadata import version

    return version("watchword")


commands = App(
    name="watchword",
    help="Sends one-time codes and says whether they are right.",
    help_format="plaintext",  # loads no Markdown parser
    version=_version,
    default_parameter=Parameter(negative=()),
)

commands.command("watchword.cli.serve:serve", name="serve", help="Serve the API and deliver.")
commands.command("watchword.cli.worker:worker", name="worker", help="Deliver only.")
commands.command(
    "watchword.cli.demo:demo", name="demo", help="Make demo credentials of every dialect, once."
)
commands.command(
    "watchword.cli.inbox:inbox", name="inbox", help="Read the virtual carrier's inbox."
)
commands.command("watchword.cli.send:send", name="send", help="Send a code.")
commands.command("watchword.cli.check:check", name="check", help="Check a code.")
commands.command(
    "watchword.cli.find:find", name="find", help="Say why a code did not come to an address."
)
commands.command(
    "watchword.cli.unlock:unlock", name="unlock", help="Forget the wrong codes of an address."
)
commands.command("watchword.cli.doctor:doctor", name="doctor", help="Say what is wrong.")

apps = App(name="app", help="Manage apps, the tenants of this service.")
commands.command(apps)
apps.command("watchword.cli.app:create", name="create", help="Make an app.")
apps.command("watchword.cli.app:list_", name="list", help="List the apps.")
apps.command("watchword.cli.app:show", name="show", help="Show one app.")
apps.command("watchword.cli.app:terms", name="terms", help="Change an app's terms.")
apps.command("watchword.cli.app:brand", name="brand", help="Change what messages call an app.")
apps.command("watchword.cli.app:suspend", name="suspend", help="Refuse a CIAM client's calls.")
apps.command("watchword.cli.app:resume", name="resume", help="Serve a suspended client again.")

test_numbers = App(name="test-number", help="Destinations of an app with a fixed code.")
apps.command(test_numbers)
test_numbers.command("watchword.cli.test_number:add", name="add", help="Add a test number.")
test_numbers.command("watchword.cli.test_number:list_", name="list", help="List test numbers.")
test_numbers.command("watchword.cli.test_number:remove", name="remove", help="Remove one.")

keys = App(name="key", help="Manage the API keys of apps.")
commands.command(keys)
keys.command("watchword.cli.key:create", name="create", help="Make an API key; it is shown once.")
keys.command("watchword.cli.key:list_", name="list", help="List API keys, never their secrets.")
keys.command("watchword.cli.key:revoke", name="revoke", help="Revoke an API key.")

accounts = App(name="account", help="Manage the accounts of a vendor's dialect.")
commands.command(accounts)
_account = "watchword.cli.account"
accounts.command(f"{_account}:create", name="create", help="Make an account and a key.")
accounts.command(f"{_account}:list_", name="list", help="List the accounts.")
accounts.command(f"{_account}:show", name="show", help="Show one, with its keys.")
accounts.command(f"{_account}:suspend", name="suspend", help="Refuse an account's calls.")
accounts.command(f"{_account}:resume", name="resume", help="Serve a suspended account again.")
accounts.command(f"{_account}:user", name="user", help="Add a user; huawei alone.")
accounts.command(
    f"{_account}:password", name="password", help="Renew a user's password; huawei alone."
)
accounts.command(f"{_account}:disable", name="disable", help="Refuse a user, or an access key.")
accounts.command(f"{_account}:enable", name="enable", help="Serve a disabled one again.")
accounts.command(f"{_account}:key", name="key", help="Make an access key; it is shown once.")
accounts.command(f"{_account}:revoke", name="revoke", help="Revoke an access key.")

templates = App(name="template", help="The texts of messages.")
commands.command(templates)
_template = "watchword.cli.template"
templates.command(f"{_template}:preview", name="preview", help="Print a text as people get it.")
templates.command(f"{_template}:check", name="check", help="Try every text.")

rings = App(name="keys", help="Look after the key ring.")
commands.command(rings)
rings.command("watchword.cli.keys:list_", name="list", help="List the keys, never a secret.")
rings.command("watchword.cli.keys:retire", name="retire", help="Remove what nothing needs.")
rings.command("watchword.cli.keys:rotate", name="rotate", help="Replace the keys.")

channels = App(name="channel", help="Pause and resume channels.")
commands.command(channels)
channels.command("watchword.cli.channel:pause", name="pause", help="Begin no hand-over.")
channels.command("watchword.cli.channel:resume", name="resume", help="Hand over again.")
channels.command("watchword.cli.channel:list_", name="list", help="List channels and what waits.")

deliveries = App(name="delivery", help="Look at hand-overs, and settle unknown ones.")
commands.command(deliveries)
deliveries.command("watchword.cli.delivery:list_", name="list", help="List those in one state.")
deliveries.command("watchword.cli.delivery:settle", name="settle", help="Say how one ended.")

webhooks = App(name="webhook", help="Tell apps what became of their codes.")
commands.command(webhooks)
_webhook = "watchword.cli.webhook"
webhooks.command(f"{_webhook}:add", name="add", help="Add a webhook; its secret is shown once.")
webhooks.command(f"{_webhook}:list_", name="list", help="List webhooks, and what waits for them.")
webhooks.command(f"{_webhook}:renew", name="renew", help="Sign with a new secret, too.")
webhooks.command(f"{_webhook}:forget", name="forget", help="Sign with the newest secret alone.")
webhooks.command(f"{_webhook}:stop", name="stop", help="Post nothing until it is resumed.")
webhooks.command(f"{_webhook}:resume", name="resume", help="Post again.")
webhooks.command(f"{_webhook}:remove", name="remove", help="Forget a webhook.")

stores = App(name="store", help="Look after the store.")
commands.command(stores)
_store = "watchword.cli.store"
stores.command(f"{_store}:migrate", name="migrate", help="Bring its schema up to date.")
stores.command(f"{_store}:backup", name="backup", help="Write it into a file, while servers run.")
stores.command(f"{_store}:restore", name="restore", help="Make a new one of a backup.")

_journal = "watchword.cli.journal"
journals = App(name="journal", help="What happened, and proof that nothing of it was changed.")
commands.command(journals)
journals.command(f"{_journal}:show", name="show", help="Print the latest events in words.")
journals.command(f"{_journal}:verify", name="verify", help="Say whether it is whole.")
journals.command(f"{_journal}:export", name="export", help="Print it as JSON lines.")
journals.command(f"{_journal}:erase", name="erase", help="Erase a person from it.")


def main() -> None:
    """Run the command that the shell asked for."""
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has had enough, as in `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(words: Sequence[str]) -> int:
    """Run a command and give its exit code."""
    try:
        code = commands(
            list(words), exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        command = " ".join(("watchword", *(error.command_chain or ())))
        return _complain(f"{error} See {command} --help.", MISUSED)
    except Misused as error:
        return _complain(str(error), MISUSED)
    except BrokenPipeError:
        return 0
    except Exception as error:
        if (sentence := explained(error)) is None:
            raise
        return _complain(sentence, REFUSED)
    return code if isinstance(code, int) else 0


def _complain(sentence: str, code: int) -> int:
    print(sentence, file=sys.stderr)
    return code


__all__ = ["Refused", "main", "run"]
