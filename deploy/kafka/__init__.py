"""What an installation asks of its Kafka cluster: users, what each may do, and topics."""
