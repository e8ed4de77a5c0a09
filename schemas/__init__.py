"""What crosses a topic: events, messages, topics, codec, errors. The leaf: it imports no other package of ours."""
