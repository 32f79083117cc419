"""Measurements that take minutes. They report figures and assert none."""
