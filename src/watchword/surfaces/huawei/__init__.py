"""Huawei Cloud's dialect: codes for the customers of its partners, and the tokens that open it."""
