# SPDX-License-Identifier: Apache-2.0
"""Postern beside its peers: the same machine, the same links, the same load, one after another."""
