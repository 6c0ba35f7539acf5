"""Private keys that stand in books: whoever signs with one lets every reader sign."""

from collections.abc import Mapping
from types import MappingProxyType

SAMPLE_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "IsUn6_e04MaShXFIISMp4kG62LWzMIPy_MvSA5pJgX8": "the sample key of RFC 7515 A.2",
        "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U": "the sample key of RFC 7515 A.3",
        "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s": "the EC sample key of RFC 7517 A.2",
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs": "the RSA sample key of RFC 7517 A.2",
        "9jg46WB3rR_AHD-EBXdN7cBkH1WOu0tA3M9fm21mqTI": "the sample key of RFC 7520 3.4",
        "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k": "the sample key of RFC 8037 A.1",
        "3YZxBJ12jO3n_mXt_q-j_Z-TFP1vt-NiI3OCf-fEnHQ": "the sample key of RFC 8410 10.3, also on jwt.io",
        "oGDmHqCJ7yzMkWEkrlZVHkvrHIyQwtlDmeq5ForUHeY": "the RSA sample key of jwt.io",
        "19J8y7Zprt2-QKLjF2I5pVk0OELX6cY2AfaAv1LC_w8": "the ES256 sample key of jwt.io",
        "iTqXXI0zbAnJCKDaobfhkM1f-6rMSpTfyZMRp_2tKI8": "the ES384 sample key of jwt.io",
    }
)
"""RFC 7638 thumbprints, and what to call the key."""
