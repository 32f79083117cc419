"""Measurements that take minutes and judge nothing by themselves."""
