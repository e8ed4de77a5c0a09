"""The runner on Kafka: Faust delivers records, lanes commit them in transactions."""
