//! Makes screenshots small: an image of at most 256 colours has a byte for each pixel instead of three or four
//! (<https://www.w3.org/TR/png-3/>). Pages have few colours, so the difference is not visible.

use std::collections::HashMap;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

type Colour = [u8; 3];

/// Width, height and the colours of the pixels, row by row.
struct Image {
    width: usize,
    height: usize,
    pixels: Vec<Colour>,
}

/// The same picture with the 256 most frequent colours. Chromium's pictures have eight bits for each channel, and are not
/// interlaced.
pub fn reduced(png: &[u8]) -> Vec<u8> {
    let image = decode(png);
    let mut counts: HashMap<Colour, usize> = HashMap::new();
    for colour in &image.pixels {
        *counts.entry(*colour).or_default() += 1;
    }
    let mut palette: Vec<(Colour, usize)> = counts.iter().map(|(colour, count)| (*colour, *count)).collect();
    palette.sort_by_key(|(colour, count)| (usize::MAX - count, *colour));
    let palette: Vec<Colour> = palette.into_iter().take(256).map(|it| it.0).collect();
    let nearest: HashMap<Colour, u8> = counts.keys().map(|colour| (*colour, nearest(&palette, *colour))).collect();
    let mut rows = Vec::with_capacity(image.height * (image.width + 1));
    for row in image.pixels.chunks(image.width) {
        rows.push(0);
        rows.extend(row.iter().map(|colour| nearest[colour]));
    }
    encode(&image, &palette, &rows)
}

fn nearest(palette: &[Colour], colour: Colour) -> u8 {
    let distance = |it: &Colour| -> u32 { it.iter().zip(colour).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum() };
    let found = palette.iter().enumerate().min_by_key(|(_, it)| distance(it)).expect("a picture has a colour");
    u8::try_from(found.0).expect("there are at most 256")
}

fn decode(png: &[u8]) -> Image {
    let mut rest = png.strip_prefix(SIGNATURE).expect("a PNG file");
    let (mut header, mut compressed) = (Vec::new(), Vec::new());
    while rest.len() >= 12 {
        let length = number(&rest[..4]);
        let (kind, data) = (&rest[4..8], &rest[8..8 + length]);
        match kind {
            b"IHDR" => header = data.to_vec(),
            b"IDAT" => compressed.extend_from_slice(data),
            _ => {}
        }
        rest = &rest[12 + length..];
    }
    let (width, height) = (number(&header[..4]), number(&header[4..8]));
    let channels = match header[8..13] {
        [8, 2, 0, 0, 0] => 3,
        [8, 6, 0, 0, 0] => 4,
        ref other => panic!("Chromium writes another kind of PNG: {other:?}"),
    };
    let mut filtered = Vec::new();
    ZlibDecoder::new(&compressed[..]).read_to_end(&mut filtered).expect("a complete picture");
    let mut before = vec![0; width * channels];
    let mut pixels = Vec::with_capacity(width * height);
    for line in filtered.chunks_exact(width * channels + 1) {
        let row = unfilter(line[0], &line[1..], &before, channels);
        pixels.extend(row.chunks_exact(channels).map(|it| [it[0], it[1], it[2]]));
        before = row;
    }
    Image { width, height, pixels }
}

fn number(bytes: &[u8]) -> usize {
    u32::from_be_bytes(bytes.try_into().expect("four bytes")) as usize
}

fn unfilter(filter: u8, line: &[u8], above: &[u8], channels: usize) -> Vec<u8> {
    let mut row = vec![0_u8; line.len()];
    for at in 0..line.len() {
        let left = if at >= channels { row[at - channels] } else { 0 };
        let corner = if at >= channels { above[at - channels] } else { 0 };
        let predicted = match filter {
            0 => 0,
            1 => left,
            2 => above[at],
            3 => u8::midpoint(left, above[at]),
            _ => paeth(left, above[at], corner),
        };
        row[at] = line[at].wrapping_add(predicted);
    }
    row
}

fn paeth(left: u8, above: u8, corner: u8) -> u8 {
    let [a, b, c] = [left, above, corner].map(i32::from);
    let (to_left, to_above, to_corner) = ((b - c).abs(), (a - c).abs(), (a + b - 2 * c).abs());
    if to_left <= to_above && to_left <= to_corner {
        left
    } else if to_above <= to_corner {
        above
    } else {
        corner
    }
}

fn encode(image: &Image, palette: &[Colour], rows: &[u8]) -> Vec<u8> {
    let mut png = SIGNATURE.to_vec();
    let size = |it: usize| u32::try_from(it).expect("a screen is smaller").to_be_bytes();
    let header = [&size(image.width)[..], &size(image.height), &[8, 3, 0, 0, 0]].concat();
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(rows).expect("memory can be written");
    let data = encoder.finish().expect("memory can be written");
    for (kind, data) in [(b"IHDR", header), (b"PLTE", palette.concat()), (b"IDAT", data), (b"IEND", Vec::new())] {
        png.extend(size(data.len()));
        let mut checksum = flate2::Crc::new();
        checksum.update(kind);
        checksum.update(&data);
        png.extend_from_slice(kind);
        png.extend(data);
        png.extend(checksum.sum().to_be_bytes());
    }
    png
}

#[test]
fn a_reduced_picture_has_the_same_pixels() {
    let colours = [[255, 0, 0], [0, 128, 0], [250, 251, 252]];
    let image = Image { width: 3, height: 2, pixels: [colours, colours].concat() };
    let rows: Vec<u8> = image.pixels.chunks(3).flat_map(|row| [&[0], &row.concat()[..]].concat()).collect();
    let mut png = encode(&image, &[], &rows);
    // As true colour.
    png[SIGNATURE.len() + 17] = 2;
    assert_eq!(decode(&png).pixels, image.pixels);
    let small = reduced(&png);
    assert!(small.windows(4).any(|it| it == b"PLTE"));
    assert_eq!(unfilter(4, &[1, 1, 1, 1], &[5, 6, 7, 8], 1), [6, 7, 8, 9]);
}
