"""Ways to slow programs down before a message is sent, one file a kind. See docs/captcha.md."""
