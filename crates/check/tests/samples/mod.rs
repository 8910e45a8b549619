//! A small history in every format and of every object, made up for these tests.

use quorate_check::Object;
use quorate_check::format::Format;

/// A file and what it must be read as.
pub struct Sample {
    /// What it shows.
    pub name: &'static str,
    /// Its content.
    pub text: &'static str,
    /// Its format.
    pub format: Format,
    /// What it is about.
    pub object: Object,
    /// Its operations in words.
    pub words: &'static [&'static str],
}

/// All of them.
pub const ALL: &[Sample] = &[
    Sample {
        name: "a vector of maps, with comments, commas, discarded forms, a pending read and a nemesis",
        text: "; a register\n[{:process 0, :type :invoke, :f :write, :value 1 :index 0}\n #_{:process 9 :type :what}\n {:process :nemesis, :type :info, :f :start, :value nil}\n {:type :ok :process 0 :f :write :value 1 :error nil #_ #_ 1 2}\n {:process 1 :type :invoke :f :read :value nil}\n {:process 2 :type :invoke :f :read}\n {:process 1 :type :ok :f :read :value 1}\n {:process :nemesis, :type :info, :f :stop, :value \"healed\"}]\n; the end\n",
        format: Format::JepsenEdn,
        object: Object::Register,
        words: &["write 1", "read → 1", "read → ? (unknown)"],
    },
    Sample {
        name: "records one after another; a cas that failed did not happen, one without end is unknown",
        text: "#jepsen.history.Op{:index 0, :time 5, :type :invoke, :process 0, :f :cas, :value [0 1]}\n#jepsen.history.Op{:index 1, :time 9, :type :fail, :process 0, :f :cas, :value [0 1]}\n#jepsen.history.Op{:index 2, :time 10, :type :invoke, :process 0, :f :cas, :value [2 3]}\n#jepsen.history.Op{:index 3, :time 12, :type :ok, :process 0, :f :cas, :value [2 3]}\n#jepsen.history.Op{:index 4, :time 13, :type :invoke, :process 0, :f :cas, :value [3 4]}\n#jepsen.history.Op{:index 5, :time 14, :type :info, :process 0, :f :cas, :value [3 4], :error :timeout}\n",
        format: Format::JepsenEdn,
        object: Object::CasRegister,
        words: &["cas 0 1 → ? (refused)", "cas 2 3 → yes", "cas 3 4 → ? (unknown)"],
    },
    Sample {
        name: "independent keys, in a list of round brackets",
        text: "({:process 0 :type :invoke :f :write :value [:x 3]}\n{:process 0 :type :ok :f :write :value [:x 3]}\n{:process 1 :type :invoke :f :read :value [:y nil]}\n{:process 1 :type :ok :f :read :value [:y nil]}\n{:process 2 :type :invoke :f :cas :value [:x [3 4]]}\n{:process 2 :type :ok :f :cas :value [:x [3 4]]})\n",
        format: Format::JepsenEdn,
        object: Object::CasRegister,
        words: &["write x 3", "read y → ?", "cas x 3 4 → yes"],
    },
    Sample {
        name: "list-append; a read of nothing saw the empty list",
        text: "{:process 0 :type :invoke :f :txn :value [[:append 1 1] [:r 2 nil]]}\n{:process 0 :type :ok :f :txn :value [[:append 1 1] [:r 2 nil]]}\n{:process 1 :type :invoke :f :txn :value [[:r 1 nil]]}\n{:process 1 :type :ok :f :txn :value [[:r 1 [1]]]}\n{:process 0 :type :invoke :f :txn :value [[:append 2 5]]}\n{:process 0 :type :fail :f :txn :value [[:append 2 5]]}\n",
        format: Format::JepsenEdn,
        object: Object::ListAppend,
        words: &["append 1 1; read 2 → []", "read 1 → [1]", "append 2 5 (refused)"],
    },
    Sample {
        name: "rows without process and function pair up",
        text: "{:index 0 :type :invoke  :value [[:append 7 1]]}\n{:index 1 :type :ok      :value [[:append 7 1]]}\n{:index 2 :type :invoke, :value [[:r 7 nil]]}\n{:index 3 :type :ok,     :value [[:r 7 [1]]]}\n",
        format: Format::JepsenEdn,
        object: Object::ListAppend,
        words: &["append 7 1", "read 7 → [1]"],
    },
    Sample {
        name: "registers in transactions, short words: a read of nothing saw the absence",
        text: "[{:process 0 :type :invoke :f :txn :value [[:w :x 1] [:r :y nil]]}\n{:process 0 :type :ok :f :txn :value [[:w :x 1] [:r :y nil]]}]",
        format: Format::JepsenEdn,
        object: Object::RwRegister,
        words: &["write x 1; read y → nil"],
    },
    Sample {
        name: "registers in transactions, long words: a read of nothing tells nothing",
        text: "[{:process 0 :type :invoke :f :txn :value [[:write :x 1] [:read :y nil]]}\n{:process 0 :type :ok :f :txn :value [[:write :x 1] [:read :y nil]]}]",
        format: Format::JepsenEdn,
        object: Object::RwRegister,
        words: &["write x 1; read y → ?"],
    },
    Sample {
        name: "transactions under the names read and write",
        text: "[{:process 0 :type :invoke :f :write :value [[:w 1 1]]}\n{:process 0 :type :ok :f :write :value [[:w 1 1]]}\n{:process 1 :type :invoke :f :read :value [[:r 1 nil] [:r 2 nil]]}\n{:process 1 :type :ok :f :read :value [[:r 1 1] [:r 2 nil]]}]",
        format: Format::JepsenEdn,
        object: Object::RwRegister,
        words: &["write 1 1", "read 1 → 1; read 2 → nil"],
    },
    Sample {
        name: "a mutex",
        text: "[{:process 0 :type :invoke :f :acquire :value nil}{:process 0 :type :ok :f :acquire :value nil}\n{:process 0 :type :invoke :f :release}{:process 0 :type :ok :f :release}\n{:process 1 :type :invoke :f :release}{:process 1 :type :fail :f :release :error :not-held}]",
        format: Format::JepsenEdn,
        object: Object::Mutex,
        words: &["acquire", "release", "release (refused)"],
    },
    Sample {
        name: "a lock with fencing tokens",
        text: "[{:process 0 :type :invoke :f :acquire}{:process 0 :type :ok :f :acquire :value 7}\n{:process 0 :type :invoke :f :write :value {:token 7}}{:process 0 :type :ok :f :write :value {:token 7}}\n{:process 0 :type :invoke :f :release}{:process 0 :type :ok :f :release :value {:fence 7}}]",
        format: Format::JepsenEdn,
        object: Object::FencedLock,
        words: &["acquire token 7", "write token 7", "release token 7"],
    },
    Sample {
        name: "a set, whose read comes last",
        text: "[{:process 0 :type :invoke :f :add :value 1}{:process 1 :type :invoke :f :add :value 2}\n{:process 0 :type :ok :f :add :value 1}{:process 1 :type :info :f :add :value 2}\n{:process 0 :type :invoke :f :read :value nil}{:process 0 :type :ok :f :read :value #{2 1}}]",
        format: Format::JepsenEdn,
        object: Object::Set,
        words: &["add 1", "add 2 (unknown)", "read → [1 2]"],
    },
    Sample {
        name: "a counter",
        text: "[{:process 0 :type :invoke :f :add :value 2}{:process 0 :type :ok :f :add :value 2}\n{:process 0 :type :invoke :f :read :value nil}{:process 0 :type :ok :f :read :value 2}]",
        format: Format::JepsenEdn,
        object: Object::Counter,
        words: &["add 2", "read → 2"],
    },
    Sample {
        name: "a queue; a drain takes one after another until nothing is left",
        text: "[{:process 0 :type :invoke :f :enqueue :value 1}{:process 0 :type :ok :f :enqueue :value 1}\n{:process 0 :type :invoke :f :enqueue :value 2}{:process 0 :type :ok :f :enqueue :value 2}\n{:process 1 :type :invoke :f :dequeue}{:process 1 :type :ok :f :dequeue :value 1}\n{:process 1 :type :invoke :f :drain}{:process 1 :type :ok :f :drain :value [2]}]",
        format: Format::JepsenEdn,
        object: Object::Queue,
        words: &["enqueue 1", "enqueue 2", "dequeue → 1", "dequeue → 2", "dequeue → empty"],
    },
    Sample {
        name: "a stack",
        text: "[{:process 0 :type :invoke :f :push :value 1}{:process 0 :type :ok :f :push :value 1}\n{:process 1 :type :invoke :f :pop}{:process 1 :type :ok :f :pop :value 1}{:process 1 :type :invoke :f :pop}{:process 1 :type :ok :f :pop :value nil}]",
        format: Format::JepsenEdn,
        object: Object::Stack,
        words: &["push 1", "pop → 1", "pop → empty"],
    },
    Sample {
        name: "a bank in JSON, whose accounts are numbers in one place and texts in the other",
        text: "[{\"process\":0,\"type\":\"invoke\",\"f\":\"read\",\"value\":null},\n{\"process\":0,\"type\":\"ok\",\"f\":\"read\",\"value\":{\"0\":10,\"1\":0}},\n{\"process\":1,\"type\":\"invoke\",\"f\":\"transfer\",\"value\":{\"from\":0,\"to\":1,\"amount\":4}},\n{\"process\":1,\"type\":\"ok\",\"f\":\"transfer\",\"value\":{\"from\":0,\"to\":1,\"amount\":4}}]\n",
        format: Format::Json,
        object: Object::Bank,
        words: &["read 0 → 10; read 1 → 0", "add 0 -4; add 1 4"],
    },
    Sample {
        name: "unique ids, one object a line",
        text: "{\"process\": 0, \"type\": \"invoke\", \"f\": \"generate\", \"value\": null, \"time\": 1}\n{\"process\": 0, \"type\": \"ok\", \"f\": \"generate\", \"value\": \"id-\\u0031\", \"time\": 2}\n",
        format: Format::Json,
        object: Object::UniqueId,
        words: &["generate → id-1"],
    },
    Sample {
        name: "digests of replicas",
        text: "[{\"process\":\"r1\",\"type\":\"invoke\",\"f\":\"digest\"},{\"process\":\"r1\",\"type\":\"ok\",\"f\":\"digest\",\"key\":\"t\",\"value\":{\"updates\":\"u3\",\"state\":\"s9\"}},{\"process\":\"nemesis\",\"type\":\"info\",\"f\":\"kill\",\"value\":null}]",
        format: Format::Json,
        object: Object::Replica,
        words: &["digest t updates u3 state s9"],
    },
    Sample {
        name: "Jepsen's log: nil is the absence, a failed cas saw something else, a failed read tells nothing",
        text: "INFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.core - Running test\nINFO  jepsen.util - 0\t:ok\t:read\tnil\nINFO  jepsen.util - 1\t:invoke\t:cas\t[3 0]\nINFO  jepsen.util - :nemesis\t:info\t:start\tnil\nINFO  jepsen.util - 1\t:fail\t:cas\t[3 0]\nINFO  jepsen.util - 2\t:invoke\t:write\t4\nINFO  jepsen.util - 2\t:info\t:write\t:timed-out\nINFO  jepsen.util - 0\t:invoke\t:read\tnil\nINFO  jepsen.util - 0\t:fail\t:read\t:timed-out\nINFO  jepsen.util - 1\t:invoke\t:cas\t[1 2]\nINFO  jepsen.util - 1\t:info\t:cas\t:timed-out\n",
        format: Format::JepsenLog,
        object: Object::CasRegister,
        words: &["read → nil", "cas 3 0 → no", "write 4 (unknown)", "read → ? (refused)", "cas 1 2 → ? (unknown)"],
    },
    Sample {
        name: "Porcupine's store: keys are apart, what is missing is the empty text",
        text: "{:process 0, :type :invoke, :f :get, :key \"3\", :value nil}\n{:process 1, :type :invoke, :f :append, :key \"3\", :value \"x 1 0 y\"}\n{:process 0, :type :ok, :f :get, :key \"3\", :value \"\"}\n{:process 1, :type :ok, :f :append, :key \"3\", :value \"x 1 0 y\"}\n{:process 0, :type :invoke, :f :put, :key \"4\", :value \"z\"}\n{:process 0, :type :ok, :f :put, :key \"4\", :value \"z\"}\n",
        format: Format::PorcupineKv,
        object: Object::Kv,
        words: &["read \"3\" → \"\"", "append \"3\" \"x 1 0 y\"", "write \"4\" z"],
    },
    Sample {
        name: "Plume's transactions; -1 was aborted",
        text: "w(1,5,0,10)\nr(2,0,0,10)\nw(1,6,1,-1)\nr(1,5,1,11)\n",
        format: Format::Plume,
        object: Object::RwRegister,
        words: &["write 1 5; read 2 → 0", "write 1 6 (refused)", "read 1 → 5"],
    },
    Sample {
        name: "AWDIT's transactions",
        text: "w 0 0\nw 1 1\n=====\nw 0 2\n-----\n-----\nr 0 2\n=\n r 1 1 \n",
        format: Format::Awdit,
        object: Object::RwRegister,
        words: &["write 0 0; write 1 1", "write 0 2", "read 0 → 2", "read 1 → 1"],
    },
    Sample {
        name: "our own format",
        text: "{\"quorate-history\":1,\"object\":\"queue\",\"operations\":3,\"initial\":null,\"real-time\":true}\n{\"session\":\"a\",\"begin\":1,\"end\":3,\"time\":[10,30],\"steps\":[[\"insert\",null,{\"map\":[[1,[true,{\"number\":\"1/3\"}]]]}]]}\n{\"session\":1,\"begin\":2,\"time\":[20,null],\"steps\":[[\"take\",null]]}\n{\"session\":1,\"begin\":4,\"end\":5,\"outcome\":\"refused\",\"time\":[40,50],\"steps\":[[\"insert\",null,1.5e3]]}\n{\"band\":\"a\\\"b\",\"from\":1,\"to\":2}\n",
        format: Format::Quorate,
        object: Object::Queue,
        words: &["enqueue {1 [true 1/3]}", "dequeue → ? (unknown)", "enqueue 1.5e3 (refused)"],
    },
];
