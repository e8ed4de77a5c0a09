"""Outputs of a cluster, from Kafka into the lake."""
