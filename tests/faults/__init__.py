"""Whatever is killed, frozen or cut off: what was answered holds, once, in order, and with its cause."""
