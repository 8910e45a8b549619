//! Reads that several writes explain: the choice between them, by search.

use super::core::Core;
use super::plain::{INITIAL, Plain, Shown};
use crate::{Id, Meter, Spent};

/// Judges one choice of writes.
type Find<'a> = dyn FnMut(&[Shown], &mut Meter<'_>) -> Result<Option<Core>, Spent> + 'a;

/// Is there a choice of a write for each of these reads under which nothing is found? If not, what was found.
///
/// Reads that are not decided yet count for nothing, so what is found too early is found for every later choice.
pub(super) fn any(
    plain: &Plain<'_>,
    reads: &[u32],
    find: &mut Find<'_>,
    meter: &mut Meter<'_>,
) -> Result<Option<Core>, Spent> {
    let mut shown = plain.shown.clone();
    if let Some(core) = find(&shown, meter)? {
        return Ok(Some(core));
    }
    if reads.is_empty() {
        return Ok(None);
    }
    let guess = |read: &u32| (*read, likely(plain, *read).first().copied().unwrap_or(Shown::OPEN));
    for (read, guess) in reads.iter().map(guess) {
        meter.step(4)?;
        shown[read as usize] = guess;
    }
    if find(&shown, meter)?.is_none() {
        return Ok(None);
    }
    shown.copy_from_slice(&plain.shown);
    let mut stack: Vec<(Vec<Shown>, usize)> = vec![(likely(plain, reads[0]), 0)];
    while let Some((options, next)) = stack.last_mut() {
        let Some(&option) = options.get(*next) else {
            stack.pop();
            shown[reads[stack.len()] as usize] = Shown::OPEN;
            continue;
        };
        *next += 1;
        shown[reads[stack.len() - 1] as usize] = option;
        meter.step(1 + plain.acts.len() as u64 / 4)?;
        if find(&shown, meter)?.is_none() {
            match reads.get(stack.len()) {
                None => return Ok(None),
                Some(&read) => {
                    let options = likely(plain, read);
                    meter.step(options.len() as u64)?;
                    stack.push((options, 0));
                }
            }
        }
    }
    Ok(Some(Core::all(plain)))
}

/// What a read may show, the likeliest first: of the writes that had begun before it ended, the last.
fn likely(plain: &Plain<'_>, read: u32) -> Vec<Shown> {
    let mut options = plain.options(read);
    let real_time = plain.history.has_real_time();
    let end = plain.history.operation(Id(read)).end;
    options.sort_by_key(|&option| {
        let last = plain.sources(option).next_back().unwrap_or(INITIAL);
        if last == INITIAL {
            return (1, 0);
        }
        let begin = plain.history.operation(Id(last)).begin;
        let future = if real_time { begin > end } else { last > read };
        if future { (2, i64::from(last)) } else { (0, -i64::from(last)) }
    });
    options
}
