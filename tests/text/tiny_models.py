"""Tiny models of transformers with random weights, made from configurations and saved to folders."""

from __future__ import annotations

import string

TEXT = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
}


def clip_tokenizer():
    """Return a tokenizer of single letters."""
    from transformers import CLIPTokenizer

    letters = list(string.ascii_lowercase)
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[])


def clip_text(tokenizer, **more):
    """Return the configuration of a text tower."""
    end = tokenizer.eos_token_id
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": end, "pad_token_id": end}
    return {**TEXT, "vocab_size": len(tokenizer), **ids, **more}


def make_owlv2(folder):
    """Save an OWLv2 that sees 32 px."""
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2Processor
    from transformers.models.owlv2.image_processing_pil_owlv2 import Owlv2ImageProcessorPil

    tokenizer = clip_tokenizer()
    config = Owlv2Config(text_config=clip_text(tokenizer), vision_config=VISION, projection_dim=16)
    return _save(
        folder,
        Owlv2ForObjectDetection(config),
        Owlv2Processor(Owlv2ImageProcessorPil(size={"height": 32, "width": 32}), tokenizer),
    )


def make_clipseg(folder):
    """Save a CLIPSeg that sees 32 px."""
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation, CLIPSegProcessor
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    tokenizer = clip_tokenizer()
    config = CLIPSegConfig(
        text_config=clip_text(tokenizer),
        vision_config={**VISION, "num_hidden_layers": 3},
        projection_dim=16,
        extract_layers=[0, 1, 2],
        reduce_dim=8,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=16,
    )
    pictures = ViTImageProcessorPil(size={"height": 32, "width": 32})
    return _save(folder, CLIPSegForImageSegmentation(config), CLIPSegProcessor(pictures, tokenizer))


def make_grounding_dino(folder):
    """Save a Grounding DINO that sees 64 px."""
    from transformers import (
        BertConfig,
        BertTokenizer,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoProcessor,
        SwinConfig,
    )
    from transformers.models.grounding_dino.image_processing_pil_grounding_dino import GroundingDinoImageProcessorPil

    letters = list(string.ascii_lowercase)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "cell", *letters, *(f"##{c}" for c in letters)]
    tokenizer = BertTokenizer(vocab={word: i for i, word in enumerate(words)})
    backbone = SwinConfig(
        image_size=32,
        patch_size=2,
        embed_dim=8,
        depths=[1, 1, 1],
        num_heads=[1, 1, 2],
        window_size=4,
        out_features=["stage2", "stage3"],
    )
    text = BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    layers = {f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in _DETR.items()}
    layers["decoder_layers"] = 2  # one ties no weights, which the library takes for a mistake
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        d_model=32,
        num_queries=9,
        num_feature_levels=3,
        max_text_len=32,
        **layers,
    )
    pictures = GroundingDinoImageProcessorPil(size={"shortest_edge": 40, "longest_edge": 64})
    return _save(folder, GroundingDinoForObjectDetection(config), GroundingDinoProcessor(pictures, tokenizer))


_DETR = {"layers": 1, "attention_heads": 2, "ffn_dim": 16, "n_points": 2}


def make_sam3(folder):
    """Save a SAM 3 that sees 56 px; without an image processor, which needs torchvision."""
    from transformers import Sam3Config
    from transformers.models.sam3.modeling_sam3 import Sam3Model

    tokenizer = clip_tokenizer()
    backbone = {
        **{"model_type": "sam3_vit_model", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2},
        **{"num_attention_heads": 2, "image_size": 56, "patch_size": 14, "window_size": 2, "pretrain_image_size": 28},
        "global_attn_indexes": [1],
    }
    part = {"hidden_size": 32, "num_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = Sam3Config(
        vision_config={
            "backbone_config": backbone,
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config=clip_text(tokenizer, projection_dim=16),
        geometry_encoder_config=part,
        detr_encoder_config=part,
        detr_decoder_config={**part, "num_queries": 5},
        mask_decoder_config={"hidden_size": 32, "num_upsampling_stages": 2, "num_attention_heads": 2},
    )
    return _save(folder, Sam3Model(config), tokenizer)


def make_clip(folder):
    """Save a CLIP that sees 32 px."""
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    tokenizer = clip_tokenizer()
    config = CLIPConfig(text_config=clip_text(tokenizer), vision_config=VISION, projection_dim=16)
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return _save(folder, CLIPModel(config), CLIPProcessor(pictures, tokenizer))


def _save(folder, network, processor):
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


MAKERS = {
    "owlv2": make_owlv2,
    "grounding-dino": make_grounding_dino,
    "clipseg": make_clipseg,
    "sam3": make_sam3,
}
