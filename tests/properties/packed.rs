//! Laws of packed bodies.

use std::io::Write;

use formgate::codec::rejected::Rejected;
use formgate::codec::unpack::Bounds;
use formgate::codec::unpack::Unpacker;
use proptest::prelude::*;

use crate::cut;
use crate::cuts;

const BOUNDS: Bounds = Bounds {
    body: 1 << 20,
    ratio: 200,
};

fn packed(encoding: &str, data: &[u8]) -> Vec<u8> {
    if encoding == "zstd" {
        return zstd::encode_all(data, 1).expect("packs");
    }
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}

fn unpacked(encoding: &str, frames: &[Vec<u8>], bounds: Bounds) -> Result<Vec<u8>, Rejected> {
    let mut unpacker = Unpacker::new(encoding, bounds)?.expect("packed");
    let mut out = Vec::new();
    for frame in frames {
        let mut rest = &frame[..];
        while let Some(piece) = unpacker.next(&mut rest)? {
            assert!(
                !piece.is_empty() && piece.len() <= 64 << 10,
                "{}",
                piece.len()
            );
            out.extend(piece);
        }
    }
    out.extend(unpacker.finish()?);
    Ok(out)
}

fn encoding() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["gzip", "zstd"])
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2000),
        (any::<u8>(), 0_usize..200_000).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_packed_is_unpacked_however_it_is_cut(data in data(), encoding in encoding(), cuts in cuts()) {
        let frames = cut(&packed(encoding, &data), &cuts);
        prop_assert_eq!(unpacked(encoding, &frames, BOUNDS), Ok(data));
    }

    #[test]
    fn what_breaks_off_is_refused(data in data(), encoding in encoding(), at in any::<prop::sample::Index>()) {
        let packed = packed(encoding, &data);
        let half = packed[..at.index(packed.len())].to_vec();
        prop_assert!(unpacked(encoding, &[half], BOUNDS).is_err());
    }

    #[test]
    fn what_goes_on_after_the_end_is_refused(data in data(), encoding in encoding(), more in prop::collection::vec(any::<u8>(), 1..20), cuts in cuts()) {
        let both = [packed(encoding, &data), more].concat();
        prop_assert!(unpacked(encoding, &cut(&both, &cuts), BOUNDS).is_err());
    }

    #[test]
    fn nothing_over_a_bound_comes_out(data in data(), encoding in encoding(), most in 0_u64..3000) {
        let bounds = Bounds { body: most, ratio: 200 };
        let fits = data.len() as u64 <= most;
        prop_assert_eq!(unpacked(encoding, &[packed(encoding, &data)], bounds).is_ok(), fits);
    }

    #[test]
    fn anything_is_unpacked_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), encoding in prop::sample::select(vec!["gzip", "zstd", "br"]), cuts in cuts()) {
        let whole = unpacked(encoding, std::slice::from_ref(&bytes), BOUNDS);
        let cut = unpacked(encoding, &cut(&bytes, &cuts), BOUNDS);
        prop_assert_eq!(cut.ok(), whole.ok());
    }
}
