"""The words by which contractions.py tells the 's of `is` and `has` from that of a possessive."""

from __future__ import annotations


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# --- what follows the noun --------------------------------------------------------------------------------

FIRM = _set("been not got had gone done told said come become begun let met heard brought understood no")
DETERMINERS = _set("a an the my your our their his her its these those another")
POINTING = _set("this mine yours ours theirs hers what where why how")
ADVERBS = _set(
    "already still just now really only always never also often usually probably certainly definitely"
    " quite very rather so almost nearly soon finally even ever simply actually currently recently all"
    " both perhaps maybe most more much far long well again nowhere somewhat hardly barely"
)
FINITE = _set("already just still now never always finally")  # these belong to a verb, or nearly always
TOO_EARLY = _set(
    "early daily weekly monthly yearly only friendly likely lovely elderly family supply reply fly"
)
PREPOSITIONS = _set(
    "at on in with from to into onto about against aboard ahead among away behind between beside besides"
    " beneath beyond by during for until without within upon abroad afloat ashore across along towards as"
    " like here there"
)
MODIFIERS = _set(
    "after under off out round around through up down over inside outside near past above below back"
)
ALONE = _set("after under out round around through")  # also before a bare noun: under canvas
COMPOUNDS = _set("house site line demand board call depth flight time home hand do")  # its on site team
PARTICIPLES = _set(
    "beaten bent bitten bled blown bought bred broken built burnt burst caught cast chosen clung crept"
    " cut dealt drawn dreamt driven drunk dug eaten fallen fed felt flown forbidden forgiven forgotten"
    " fought found frozen given ground grown held hidden hit hung hurt kept knelt known laid lain lit"
    " leant learnt led left lent lost made meant mistaken mown outgrown overtaken paid proven put quit"
    " read rebuilt redone remade resent reset ridden risen run rung seen sent set sewn shaken shed shone"
    " shot shown shrunk shut slept slid sold sought sown spent spilt split spoilt spoken sprung spun"
    " stolen stood struck stuck stung sung sunk sunken swept swollen sworn swum taken taught thought"
    " thrown torn trodden undergone undone upset withdrawn woken won worn woven written"
)
NOUNS = _set(  # what looks like a participle and is none
    "bed shed red sled seed need speed feed deed weed reed greed creed breed steed hundred hatred moped"
    " newlywed bloodshed watershed toolshed woodshed cowshed flatbed seabed sunbed riverbed daybed hotbed"
    " testbed seedbed sacred wicked naked beloved thing ring king spring string wing sting swing sling"
    " evening morning ceiling pudding sibling lightning awning sterling handwriting wellbeing upbringing"
)
NOUNS_TOO = _set(  # what may be a participle, and may be what somebody has
    "cast cut hit hurt lead left read run set shot split spread thought upset burst ground bound quit"
    " reset felt drunk intended deceased accused unemployed acting advertising banking bearing beginning"
    " being bidding billing bleeding blessing boarding booking bowling brewing briefing building calling"
    " camping casting catering charging cladding cleaning closing clothing coaching coating coding cooking"
    " counselling covering crossing crying cutting cycling dancing dealing decking diving drawing dressing"
    " drilling dwelling earning editing encoding ending engineering fencing filing filling finding fishing"
    " fitting flooring flying following framing funding gardening gathering greeting grouping guttering"
    " handling heading hearing heating helping holding hosting housing icing indenting indexing ironing"
    " labelling landing landscaping laughing learning lettering lighting lining listing living loading"
    " lodging logging longing making manufacturing mapping marketing meaning meeting mooring naming"
    " numbering offering opening ordering outing packaging packing painting parenting parking passing"
    " paving piping planning planting playing plumbing posting pricing printing programming publishing"
    " purchasing racing railing ranking rating reading reasoning reckoning recording recycling reporting"
    " riding rigging roofing rendering rowing sailing saving saying schooling screening seating sending"
    " serving servicing setting sewing shaping shipping shopping showing siding sighting signing singing"
    " skiing smoking sorting sounding speaking spelling spending staffing standing starting stocking"
    " storytelling styling suffering surfing swimming tailoring teaching testing thinking timing training"
    " travelling trimming tuning turning typing understanding undertaking voting walking warning washing"
    " watering wedding welding winding wiring wording writing yearning"
)
ADJECTIVES = _set(
    "able absent active afraid alive alone angry annoyed anxious asleep available awake aware awful bad"
    " big blank blind bored brave bright brilliant broke busy careful cheap certain clean clear clever"
    " close closed common complete confident cosy curious damp dangerous dead deep delicious different"
    " difficult dirty due dull eager early easy empty enough excellent expensive faint false familiar"
    " famous fantastic far fast faulty fine firm flat fragile free fresh friendly full funny glad gorgeous"
    " great happy hard healthy heavy high hot huge hungry ill impossible incomplete innocent jealous keen"
    " large late lazy lonely long loose loud lovely low lucky missing narrow nasty natural necessary neat"
    " nervous new nice noisy normal obvious off-line okay old online open overdue pale perfect pleasant"
    " pleased polite poor popular possible powerful pretty proud quick rare ready real reliable rich ripe"
    " rough rude sad safe scarce shallow sharp short shy sick silent silly simple slow small smart smooth"
    " soft sore sorry spare steep sticky stiff straight strange strict strong stupid sure tall terrible"
    " thick thin thirsty tidy tight tiny tired tough tricky true ugly unable unaware unavailable uneasy"
    " unfair unhappy unlikely unsafe unsure unwell upset urgent useful useless valid warm weak welcome wet"
    " wide wild willing wonderful worse wrong young"
)
NEVER_BEFORE_A_NOUN = _set("able afraid alone ashamed asleep awake aware glad unable unsure unwell")
PERHAPS = _set(  # adjectives and adverbs that may as well be what somebody has
    "cold cool dark dry good home ideal kind light likely mad mean plain present quiet right round second"
    " still square calm today tomorrow tonight yesterday too here there now fit fair fun"
)
JOINTS = _set(  # what no noun follows in the way of a phrase: *locked* while ...
    "while until till because when if since so before than though although unless once again today"
    " tonight tomorrow yesterday now together yet already too anyway instead twice me us him them it you i"
    " he she we they himself herself itself themselves everyone everybody everything someone something"
    " nothing anything this that each every some any of or straight either enough next last"
)

# --- what stands before it --------------------------------------------------------------------------------

OBJECTS = _set("me us him them it you")
STARTERS = _set(
    "and but or so because when while if that whether until till since as before after where although"
    " though unless once which who then think know hope see hear says said say believe guess suppose sure"
    " afraid glad told"
)
GOVERNING = _set(
    "at to from of for with by than like in into on onto near behind beside about over under past via per"
    " without through between against around across during inside outside within upon off towards"
)
OPENERS = DETERMINERS | _set("this that each every some any no one what")
