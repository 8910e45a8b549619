//! Golden bytes: what a store on disk holds. A change here is a new format and needs a new format number.

use super::*;

/// Keys, after their space, and values in hexadecimal.
fn dump(replica: &Replica) -> String {
    let told = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    replica.store.0.iter().map(|(key, value)| format!("{} = {}\n", told(&key[layout::SPACE..]), told(value))).collect()
}

#[test]
fn the_format_on_disk_is_this() {
    let mut replica = Replica::new();
    replica.run("SET s abc PX 10");
    replica.run("HSET h f v");
    replica.run("SADD m x");
    replica.apply(&with_idempotency("i", batch(&["INCR n"])));
    replica.apply(&Batch { table: TableId(3), ..batch(&["SET a 1"]) });
    replica.apply(&Batch { table: TableId(3), ..batch(&["FLUSHDB"]) });
    replica.run("TABLE.CREATE t");
    assert_eq!(dump(&replica), GOLDEN);
}

const GOLDEN: &str = "\
010000 = 01000000000000000000000004\n\
010003 = 01000000010000000000000000\n\
020000000000007045c205f5ef68 = 1100000000000000020000000000000002000000010000000000000001\n\
02000000000000cbaa0f6724ae6e = 10000000000000000431\n\
02000000000000d6b9d4d14ff673 = 18000000000000000100000000000f424a616263\n\
02000000000000f0904807418c6d = 1200000000000000030000000000000003000000010000000000000001\n\
02000300000000e6c632b61e9661 = 10000000000000000531\n\
0300000000000000020000000133c155909ff366 = 76\n\
03000000000000000300000001eaf06c6480b278 = \n\
0469 = 016113f7c4262a83590000000005359e400000000005359e400000000000000000000100000000000000040102\n\
05000000000000000001000300000000 = \n\
0500000000000f424a03000000000000d6b9d4d14ff673 = \n\
050000000005359e400469 = \n\
06 = 030101800201740100000001000000\n\
";
