-- One row per problem of which a sample has ended. gold: as the newest grade has it.
CREATE TABLE problems (
    problem_id TEXT PRIMARY KEY,
    place INTEGER NOT NULL, -- in the order of the run
    text TEXT NOT NULL,
    subject TEXT,
    level INTEGER,
    gold TEXT
) WITHOUT ROWID;

-- One row per finished sample. verdict, first_verdict, gold, tier, reason: of its newest grade, null without one.
CREATE TABLE trajectories (
    id INTEGER PRIMARY KEY,
    problem_id TEXT NOT NULL,
    sample INTEGER NOT NULL,
    place INTEGER NOT NULL, -- of its problem
    subject TEXT,
    level INTEGER,
    verdict TEXT,
    first_verdict TEXT, -- on the first attempt, where there was another
    cause TEXT, -- why it is not correct: the rule that explains it best (docs/failures.md)
    answer TEXT,
    gold TEXT,
    tier TEXT,
    reason TEXT,
    state TEXT, -- of the verification: True, False, Uncertain; null without one
    failure TEXT, -- why there is no answer
    truncated INTEGER NOT NULL, -- whether the token limit cut a reply
    rounds INTEGER NOT NULL, -- replies of the solution
    calls INTEGER NOT NULL, -- of the model, checks included
    cells INTEGER NOT NULL, -- of code that was run, checks included
    failed_cells INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost REAL, -- in US dollars, null where no price is known
    seconds REAL NOT NULL,
    started TEXT NOT NULL,
    prompt TEXT NOT NULL,
    model TEXT NOT NULL,
    seed INTEGER,
    grade INTEGER, -- the grade that the verdict is from
    diagnosed INTEGER NOT NULL DEFAULT 0,
    line INTEGER NOT NULL, -- of trajectories.jsonl
    offset INTEGER NOT NULL, -- in bytes
    length INTEGER NOT NULL,
    UNIQUE (problem_id, sample)
);
CREATE INDEX trajectories_by_place ON trajectories (place, sample);
CREATE INDEX trajectories_to_diagnose ON trajectories (id) WHERE diagnosed = 0;

-- Every step, numbered from 0 in its trajectory.
CREATE TABLE steps (
    trajectory INTEGER NOT NULL,
    step INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at REAL NOT NULL, -- seconds from the start of the sample
    seconds REAL NOT NULL,
    chars INTEGER NOT NULL, -- of the model's reply, the code, or the output
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    finish_reason TEXT,
    note TEXT, -- verification: its state; retry: its reason; failure: its kind; answer: the answer
    cut INTEGER NOT NULL, -- characters after the code block, which were not used
    PRIMARY KEY (trajectory, step)
) WITHOUT ROWID;

-- Every cell that was run, with the step of its output. code and output: the first 4000 characters.
CREATE TABLE cells (
    trajectory INTEGER NOT NULL,
    step INTEGER NOT NULL,
    role TEXT NOT NULL, -- solution or check
    code TEXT NOT NULL,
    output TEXT NOT NULL,
    code_chars INTEGER NOT NULL,
    output_chars INTEGER NOT NULL,
    error TEXT, -- type of the exception; timeout; kernel lost; null where all went well
    message TEXT,
    seconds REAL NOT NULL,
    PRIMARY KEY (trajectory, step)
) WITHOUT ROWID;
CREATE INDEX cells_by_error ON cells (error, trajectory) WHERE error IS NOT NULL;

-- Every grade ever given, the newest of a sample last.
CREATE TABLE grades (
    id INTEGER PRIMARY KEY,
    problem_id TEXT NOT NULL,
    sample INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    first_verdict TEXT,
    answer TEXT,
    gold TEXT NOT NULL,
    tier TEXT,
    reason TEXT NOT NULL,
    grade_set INTEGER -- 0: made with the run; from 1: the times that it was graded again
);
CREATE INDEX grades_by_sample ON grades (problem_id, sample);

-- Rules that fired on a sample, correct ones included (docs/failures.md), each with the step that shows it.
CREATE TABLE tags (
    trajectory INTEGER NOT NULL,
    rule TEXT NOT NULL,
    step INTEGER,
    evidence TEXT NOT NULL
);
CREATE INDEX tags_by_trajectory ON tags (trajectory);
CREATE INDEX tags_by_rule ON tags (rule, trajectory);

-- Lines of the log that cannot be read.
CREATE TABLE damage (
    file TEXT NOT NULL,
    line INTEGER NOT NULL,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    reason TEXT NOT NULL
);

-- How far each file of the log has been read.
CREATE TABLE files (
    file TEXT PRIMARY KEY,
    bytes INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    head TEXT NOT NULL, -- hash of its first bytes
    tail TEXT NOT NULL, -- hash of the last bytes that were read
    modified INTEGER NOT NULL -- in nanoseconds
) WITHOUT ROWID;

-- Full text, by trajectories.id; the text itself is only in the log.
CREATE VIRTUAL TABLE words USING fts5 (problem, reasoning, code, output, content='', tokenize='unicode61 tokenchars _');
