"""OME-Zarr hierarchies below an acquisition's folder, read without trust in what they claim.

Every file is opened through `listing.open_below`, so that no link leads out of the folder; sizes are
compared with what may be before anything is allocated. Addresses in metadata are never followed.
"""
