"""What a code is for. A code drawn for one purpose is never right for another."""

from enum import StrEnum


class Purpose(StrEnum):
    SIGN_IN = "sign_in"
    SIGN_UP = "sign_up"
    RESET = "reset"
    CHANGE = "change"
    BIND = "bind"
