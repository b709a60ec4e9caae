"""The CIAM dialect: contracts/ciam.md."""
