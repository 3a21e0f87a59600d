"""The networks that `benchmarks/coverage.py` tries: of timm, of torchvision, and the options of conf/model."""

from __future__ import annotations

TIMM = """
beit: beit_base_patch16_224
byoanet: halonet_h1 eca_halonext26ts eca_botnext26ts_256 lambda_resnet26t
byobnet: mobileone_s0 gernet_s repvgg_a0 regnetz_b16 gcresnet33ts resnet50_clip_gap
cait: cait_xxs24_224
coat: coat_tiny coat_lite_tiny
convit: convit_tiny
convmixer: convmixer_768_32
convnext: convnext_atto convnextv2_atto convnext_zepto_rms
cpubone: cpubone_nano
crossvit: crossvit_tiny_240
csatv2: csatv2
cspnet: cs3darknet_s darknet17 cspresnext50
cspnext: cspnext_tiny
davit: davit_tiny
deepseek_vit: deepseek_vit_412m
deit: deit_tiny_patch16_224 deit_tiny_distilled_patch16_224 deit3_small_patch16_224
densenet: densenet121 densenetblur121d
dla: dla46_c dla60_res2net
dpn: dpn48b dpn68
edgenext: edgenext_xx_small
efficientformer: efficientformer_l1
efficientformer_v2: efficientformerv2_s0
efficientnet: efficientnet_b0 tf_efficientnet_b0 tf_efficientnetv2_b0 mobilenetv2_100 mnasnet_100 mixnet_s tinynet_e
efficientvim: efficientvim_m1
efficientvit_mit: efficientvit_b0
efficientvit_msra: efficientvit_m0
eva: eva02_tiny_patch14_224 vit_small_patch16_rope_224 vit_tiny_patch16_dinov3_qkvb
fasternet: fasternet_t0
fastvit: fastvit_t8 fastvit_sa12
focalnet: focalnet_tiny_srf
gcvit: gcvit_xxtiny
gemma4_vit: gemma4_vit_167m
ghostnet: ghostnet_100 ghostnetv2_100 ghostnetv3_100
hardcorenas: hardcorenas_a
hgnet: hgnet_tiny hgnetv2_b0
hiera: hiera_tiny_224
hieradet_sam2: hieradet_small
hrnet: hrnet_w18_small
iformer: iformer_t
inception_next: inception_next_atto
inception_resnet_v2: inception_resnet_v2
inception_v3: inception_v3
inception_v4: inception_v4
lcnetv2: lcnetv2_small
levit: levit_128s levit_conv_128s
lowformer: lowformer_b0
mambaout: mambaout_femto
maxxvit: coatnet_pico_rw_224 maxvit_rmlp_pico_rw_256 maxvit_tiny_tf_224
metaformer: poolformer_s12 caformer_s18 convformer_s18
mlp_mixer: mixer_s16_224 gmlp_ti16_224 resmlp_12_224
mobilenetv3: mobilenetv3_small_100 tf_mobilenetv3_small_075 lcnet_050 mobilenetv4_conv_small mobilenetv4_hybrid_medium
mobilenetv5: mobilenetv5_base
mobilevit: mobilevit_xxs mobilevitv2_050
mvitv2: mvitv2_tiny
naflexvit: naflexvit_base_patch16_gap
nasnet: nasnetalarge
nest: nest_tiny
nextvit: nextvit_small
nfnet: nf_regnet_b0 nf_resnet26 eca_nfnet_l0
pit: pit_ti_224 pit_ti_distilled_224
pnasnet: pnasnet5large
pvt_v2: pvt_v2_b0 pvt_v2_b2_li
qwen3_vit: qwen3_vit_88m
rdnet: rdnet_tiny
regnet: regnetx_002 regnety_002 regnetv_040
repghost: repghostnet_050
repvit: repvit_m1
res2net: res2net50_26w_4s res2next50
resnest: resnest14d
resnet: resnet18 resnet50 seresnet18 resnetblur18 ecaresnext26t_32x4d resnet26t
resnetv2: resnetv2_18 resnetv2_50x1_bit resnetv2_50d_gn
rexnet: rexnet_100 rexnetr_100
selecsls: selecsls42
senet: legacy_seresnet18 legacy_senet154
sequencer: sequencer2d_s
shvit: shvit_s1
sknet: skresnet18
starnet: starnet_s050
swiftformer: swiftformer_xs
swin_transformer: swin_tiny_patch4_window7_224 swin_s3_tiny_224
swin_transformer_v2: swinv2_tiny_window8_256
swin_transformer_v2_cr: swinv2_cr_tiny_ns_224
tiny_vit: tiny_vit_5m_224
tnt: tnt_s_patch16_224
tresnet: tresnet_m
twins: twins_pcpvt_small twins_svt_small
vgg: vgg11 vgg11_bn
visformer: visformer_tiny
vision_transformer: vit_tiny_patch16_224 vit_small_patch32_224 vit_small_patch14_dinov2 vit_base_patch32_clip_224 \
    vit_wee_patch16_reg1_gap_256 vit_little_patch16_reg4_gap_256
vision_transformer_hybrid: vit_tiny_r_s16_p8_224 vit_small_r26_s32_224
vision_transformer_relpos: vit_relpos_small_patch16_224 vit_srelpos_small_patch16_224
vision_transformer_sam: samvit_base_patch16_224
vitamin: vitamin_small_224
volo: volo_d1_224
vovnet: ese_vovnet19b_dw vovnet39a
xception: legacy_xception
xception_aligned: xception41
xcit: xcit_nano_12_p16_224 xcit_tiny_12_p8_224
"""
"""Module of timm: networks of it."""
TORCHVISION = """
alexnet convnext_tiny densenet121 efficientnet_b0 efficientnet_v2_s googlenet inception_v3 maxvit_t mnasnet0_5
mobilenet_v2 mobilenet_v3_small regnet_x_400mf regnet_y_400mf resnet18 resnet50 resnext50_32x4d shufflenet_v2_x0_5
shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1 swin_t swin_v2_t vgg11 vgg16_bn vit_b_16 vit_b_32 wide_resnet50_2
"""


def families() -> dict[str, list[str]]:
    """The list by module, as library:name."""
    found = {}
    for line in TIMM.replace("\\\n", " ").strip().splitlines():
        module, _, names = line.partition(":")
        found[module] = [f"timm:{name}" for name in names.split()]
    found["torchvision"] = [f"torchvision:{name}" for name in TORCHVISION.split()]
    return found


def listed() -> list[str]:
    """Every network of the list."""
    return [network for networks in families().values() for network in networks]


def unlisted() -> list[str]:
    """Modules of timm's networks that no network of the list is from."""
    import timm

    return sorted(set(timm.list_modules()) - set(families()))


def zoo(task: str) -> list[str]:
    """Every option of conf/model that is a network of its own: of one task, or of "all"."""
    from runner.config import compose, groups, libraries

    options = (path.stem for path in sorted((groups.CONF / "model").glob("*.yaml")))
    models = {name: compose.compose([f"model={name}"]).model for name in options if name not in libraries.LISTED_BY}
    return [f"zoo:{name}" for name, model in models.items() if model.onnx is None and task in ("all", model.task)]
