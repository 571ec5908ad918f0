"""Calls to Alibaba Cloud: the only package that talks to it. Private: names may change."""
