"""How many tokens a request has, before the provider has counted them: an estimate, and by how much it may be off.

No tokenizer is bundled. ``text`` counts kinds of pieces and weighs them as the tokenizer of a family of models would,
``request`` adds what an API puts around texts, ``tools`` writes tools as models read them, ``media`` measures files.
The weights, in ``weights.json``, were fitted to texts of many kinds and to the usage that providers reported.
"""
