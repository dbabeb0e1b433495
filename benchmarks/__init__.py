"""Measurements: Oarlock beside etcd and PySyncObj, on one machine and in one run."""
