"""The runner without a broker: one process, one data folder."""
