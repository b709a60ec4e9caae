"""Alibaba Cloud's dialect: codes for the phones of its directories and members, and their uses."""
