"""The 120 action names of NTU RGB+D 120; the first 60 are those of NTU RGB+D 60."""

CLASSES = (
    "drink water", "eat meal", "brush teeth", "brush hair", "drop", "pick up", "throw", "sit down", "stand up",
    "clap", "read", "write", "tear up paper", "put on jacket", "take off jacket", "put on a shoe", "take off a shoe",
    "put on glasses", "take off glasses", "put on a hat", "take off a hat", "cheer up", "hand wave", "kick something",
    "reach into pocket", "hop", "jump up", "phone call", "play with phone", "type on a keyboard", "point to something",
    "take a selfie", "check time", "rub two hands", "nod head", "shake head", "wipe face", "salute",
    "put palms together", "cross hands in front", "sneeze or cough", "stagger", "fall down", "headache", "chest pain",
    "back pain", "neck pain", "nausea", "fan self", "punch", "kick", "push", "pat on back", "point finger", "hug",
    "give object", "touch pocket", "shake hands", "walk towards", "walk apart",
    "put on headphone", "take off headphone", "shoot at basket", "bounce ball", "tennis bat swing",
    "juggle table tennis ball", "hush", "flick hair", "thumb up", "thumb down", "make OK sign", "make victory sign",
    "staple book", "count money",
    "cut nails", "cut paper", "snap fingers", "open bottle", "sniff", "squat down", "toss a coin", "fold paper",
    "ball up paper", "play magic cube", "apply cream on face", "apply cream on hand", "put on bag", "take off bag",
    "put object into bag", "take object out of bag", "open a box", "move heavy objects", "shake fist",
    "throw up cap", "hands up", "cross arms", "arm circles", "arm swings", "run on the spot", "butt kicks",
    "cross toe touch", "side kick", "yawn", "stretch oneself", "blow nose", "hit with object", "wield knife",
    "knock over", "grab stuff", "shoot with gun", "step on foot", "high-five", "cheers and drink", "carry object",
    "take a photo", "follow", "whisper", "exchange things", "support somebody", "rock-paper-scissors",
)  # fmt: skip
"""In the order of the action numbers, A001 first."""
