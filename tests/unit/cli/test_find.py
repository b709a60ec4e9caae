"""The words of find, and what it makes of wrong words."""

from datetime import timedelta

from tests.unit.cli.past import a_send, ago

ANN = "+8613800138000"


def test_a_paused_channel_is_told_and_how_it_goes_on(shell):
    ago(timedelta(minutes=2), a_send)(shell)
    assert "The sms lane seems to stand" in shell("find", "--to", ANN)
    shell("channel", "pause", "sms", "--reason", "the carrier asked")
    said = shell("find", "--to", ANN)
    assert ": the carrier asked. watchword channel resume sms lets it go on." in said
    assert "seems to stand" not in said


def test_what_came_to_nothing_yesterday_is_told_by_the_journal(shell):
    """Its challenge was swept; neither a code nor the address is told."""

    async def and_swept(service):
        await a_send(service)
        await service.store.sweep(service.clock() + timedelta(days=2), most=1000)

    ago(timedelta(days=1), and_swept)(shell)
    said = shell("find", "--to", ANN)
    assert "Of what is kept no more, the journal tells of +86*********00" in said
    assert "a code was asked for (sign_in, by sms, challenge" in said
    assert "the code was over before the message went out" in said
    assert ANN not in said
    challenge = said.partition("challenge ")[2][:26]
    assert "a code was asked for" in shell("find", "--id", challenge)


def test_an_address_or_an_id_is_named_and_not_both(shell):
    shell("app", "create", "shop")
    shell("find")
    assert shell.code == 2
    assert "--to, or a challenge with --id" in shell.said
    shell("find", "--to", ANN, "--id", "x")
    assert shell.code == 2
    assert "Nothing is known of a challenge x" in shell("find", "--id", "x")


def test_unlock_says_where_there_is_nothing_to_forget(shell):
    shell("app", "create", "shop")
    assert "nothing to unlock" in shell("unlock", "--to", ANN)


def test_what_was_looked_at_is_told_where_nothing_is_known(shell):
    shell("app", "create", "shop")
    report = shell("find", "--to", "ann@example.com")
    assert "Nothing is known of a***@example.com in shop." in report
    assert "watchword journal show --app APP" in report
    told = shell.json("find", "--to", "ann@example.com")
    assert told["challenges"] == []
    assert [one["app"] for one in told["standings"]] == ["shop"]
