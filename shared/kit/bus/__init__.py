"""Events leave through the outbox and arrive through the consumer; two logs, Kafka and SQL, carry them between."""
