//! Pictures of synthetic films, pixel by pixel.

use costate_envs::scene::{Item, Role, Scene, Shape};

use super::camera::{Camera, backdrop};
use super::palette::{Histogram, Palette};
use super::stage::Stage;
use super::trail::Trail;
use super::*;

const BODY: [u8; 3] = [0x2d, 0x5f, 0x8f];
const SKY: [u8; 3] = [0xf6, 0xf8, 0xfa];

fn disc(role: Role, centre: [f32; 2], radius: f32) -> Item {
    let shape = Shape::Circle { centre, radius };
    Item { role, shape }
}

/// A body at a position, in a view of 4 × 4 m with marks at its corners that prevent cropping.
fn framed(centre: [f32; 2]) -> Scene {
    Scene {
        view_low: [-2.0, -2.0],
        view_high: [2.0, 2.0],
        items: vec![
            disc(Role::Target, [-2.0, -2.0], 0.05),
            disc(Role::Target, [2.0, 2.0], 0.05),
            disc(Role::Body, centre, 0.5),
        ],
    }
}

/// A body that circles the centre once in `steps` steps.
fn round(steps: usize, period: f64) -> Film {
    let scene = |t: usize| {
        let angle = std::f32::consts::TAU * t as f32 / steps as f32;
        framed([angle.cos(), angle.sin()])
    };
    let mut film = Film::new(scene(0), period);
    (1..=steps).for_each(|t| film.push(0.25, scene(t)));
    film
}

/// A two-legged body that walks along hilly ground, the camera with it.
fn walk(steps: usize) -> Film {
    let scene = |t: usize| {
        let x = 0.05 * t as f32;
        let swing = 0.5 * (0.3 * t as f32).sin();
        let leg = |a: f32| Item {
            role: Role::Limb,
            shape: Shape::Capsule {
                from: [x, 0.9],
                to: [x + a, 0.05],
                radius: 0.06,
            },
        };
        let hill = |i: i32| [i as f32, 0.1 * (i % 3) as f32 - 0.15];
        let mut ground: Vec<[f32; 2]> = (-1000..=1000).map(hill).collect();
        ground.extend([[1000.0, -1000.0], [-1000.0, -1000.0]]);
        Scene {
            view_low: [x - 1.5, -0.5],
            view_high: [x + 1.5, 1.5],
            items: vec![
                Item {
                    role: Role::Ground,
                    shape: Shape::Polygon { points: ground },
                },
                leg(swing),
                disc(Role::Body, [x, 1.0], 0.2),
                leg(-swing),
            ],
        }
    };
    let mut film = Film::new(scene(0), 0.02);
    (1..=steps).for_each(|t| film.push(1.0, scene(t)));
    film
}

fn pixels(stage: &Stage, step: usize) -> Vec<[u8; 3]> {
    stage.frame(step).unwrap().rgb().collect()
}

#[test]
fn a_disc_is_where_it_should_be_and_y_points_up() {
    let film = Film::new(framed([1.0, 1.0]), 0.1);
    let stage = Stage::new(&film, 400).unwrap();
    // 20 of 400 rows are the caption: 95 pixels a metre.
    assert_eq!((stage.width, stage.height), (380, 400));
    let picture = pixels(&stage, 0);
    let at = |x: usize, y: usize| picture[y * 380 + x];
    assert_eq!(at(285, 95), BODY);
    for (dx, dy) in [(1, 0), (-1, 0), (0, 1), (0, -1)] {
        let toward = |r: i32| at((285 + r * dx) as usize, (95 + r * dy) as usize);
        assert_eq!(toward(45), BODY);
        assert_ne!(toward(50), BODY);
    }
    for (x, y) in [(97, 97), (97, 287), (287, 287)] {
        assert_eq!(
            at(x, y),
            SKY,
            "only one quarter of the picture holds the disc"
        );
    }
}

#[test]
fn equal_films_give_identical_bytes() {
    let (a, b) = (round(12, 0.05), round(12, 0.05));
    assert_eq!(still(&a, 7, 160).unwrap(), still(&b, 7, 160).unwrap());
    let animation = |film| animate(film, 160, 1.0, |_, _| {}).unwrap();
    assert_eq!(animation(&a), animation(&b));
    assert_ne!(
        animation(&a).bytes,
        animation(&round(13, 0.05)).bytes,
        "the bytes show the film"
    );
}

/// The frames of a GIF as they look, with their delays in hundredths of a second.
fn decode(bytes: &[u8]) -> Vec<(Vec<[u8; 3]>, u64)> {
    let mut decoder = gif::DecodeOptions::new().read_info(bytes).unwrap();
    let wide = usize::from(decoder.width());
    let mut screen = vec![[0; 3]; wide * usize::from(decoder.height())];
    let palette = decoder.global_palette().unwrap().to_vec();
    let mut frames = Vec::new();
    while let Some(frame) = decoder.read_next_frame().unwrap() {
        for (i, &index) in frame.buffer.iter().enumerate() {
            let (dx, dy) = (i % usize::from(frame.width), i / usize::from(frame.width));
            if frame.transparent != Some(index) {
                let place = (usize::from(frame.top) + dy) * wide + usize::from(frame.left) + dx;
                let start = 3 * usize::from(index);
                screen[place] = palette[start..start + 3].try_into().unwrap();
            }
        }
        frames.push((screen.clone(), u64::from(frame.delay)));
    }
    frames
}

#[test]
fn an_animation_shows_every_frame_nearly_as_drawn() {
    let film = round(20, 0.05);
    let stage = Stage::new(&film, 200).unwrap();
    let mut told = Vec::new();
    let animation = animate(&film, 200, 1.0, |done, total| told.push((done, total))).unwrap();
    assert_eq!(animation.frames, 21);
    assert_eq!(told.last(), Some(&(21, 21)));
    assert!(told.is_sorted());
    let frames = decode(&animation.bytes);
    assert_eq!(frames.len(), 21);
    for (step, (seen, _)) in frames.iter().enumerate() {
        let drawn = pixels(&stage, step);
        assert_eq!(seen.len(), drawn.len());
        for (a, b) in seen.iter().zip(&drawn) {
            let error = (0..3).map(|i| a[i].abs_diff(b[i])).max().unwrap();
            assert!(error <= 24, "frame {step}: {a:?} for {b:?}");
            assert!(
                error == 0 || ![BODY, SKY].contains(b),
                "flat colours are exact"
            );
        }
    }
}

#[test]
fn an_animation_plays_in_real_time() {
    for (steps, period, speed, frames) in [
        (100, 0.01, 1.0, 26), // every fourth step: 25 frames a second
        (125, 0.008, 1.0, 26),
        (60, 1.0 / 30.0, 1.0, 61),
        (50, 0.02, 2.0, 14), // every fourth step, then the last
        (7, 0.015, 1.0, 4),
        (3, 0.5, 0.5, 4),
    ] {
        let film = round(steps, period);
        let animation = animate(&film, 64, speed, |_, _| {}).unwrap();
        let delays: Vec<u64> = decode(&animation.bytes).iter().map(|f| f.1).collect();
        assert_eq!(animation.frames, frames, "{steps} steps of {period} s");
        assert_eq!(delays.len(), frames);
        // The last frame stays a second.
        let expected = (100.0 * steps as f64 * period / speed).round() as u64 + 100;
        assert_eq!(delays.iter().sum::<u64>(), expected);
        assert_eq!(animation.seconds, expected as f64 / 100.0);
        assert!(delays.iter().rev().skip(2).all(|&d| d >= 3), "{delays:?}");
    }
}

#[test]
fn a_moving_camera_keeps_the_scale_and_the_grid_stays_with_the_world() {
    let film = walk(40);
    let stage = Stage::new(&film, 300).unwrap();
    assert!(matches!(Camera::of(&[&film.scenes]), Camera::Follow(_)));
    let (early, late) = (pixels(&stage, 0), pixels(&stage, 10));
    let wide = stage.width as usize;
    // The top row is sky and grid: lines at x = -1, 0, 1 of a view from -1.5, then half a metre on.
    let lines = |picture: &[[u8; 3]]| -> Vec<usize> {
        (0..wide)
            .filter(|&x| picture[2 * wide + x] != SKY)
            .collect()
    };
    let metre = stage.width as f64 / 3.0;
    let near = |found: Vec<usize>, expected: &[f64]| {
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (x, metres) in found.iter().zip(expected) {
            assert!((*x as f64 - metres * metre).abs() <= 1.0, "{found:?}");
        }
    };
    near(lines(&early), &[0.5, 1.5, 2.5]);
    near(lines(&late), &[0.0, 1.0, 2.0][..lines(&late).len()]);
    assert!(lines(&late).len() >= 2);
    // The body is in the middle of both.
    let body = |picture: &[[u8; 3]]| picture.iter().position(|p| *p == BODY).unwrap() % wide;
    assert!(body(&early).abs_diff(body(&late)) <= 1);
}

#[test]
fn a_still_shows_where_it_came_from() {
    let film = walk(60);
    let (start, end) = (
        still(&film, 0, 300).unwrap(),
        still(&film, 60, 300).unwrap(),
    );
    assert!(end.height < start.height, "a path of 3 m makes it wider");
    let round = round(20, 0.05);
    let stage = Stage::new(&round, 200).unwrap();
    let plain = stage.frame(20).unwrap().png().unwrap();
    assert_ne!(
        still(&round, 20, 200).unwrap().bytes,
        plain,
        "earlier poses show"
    );
}

#[test]
fn the_trail_is_that_of_the_tip() {
    let rod = |t: usize| {
        let angle = 0.1 * t as f32;
        Scene {
            view_low: [-2.0; 2],
            view_high: [2.0; 2],
            items: vec![
                disc(Role::Body, [0.0, 0.0], 0.2),
                Item {
                    role: Role::Limb,
                    shape: Shape::Capsule {
                        from: [0.0, 0.0],
                        to: [angle.cos(), angle.sin()],
                        radius: 0.1,
                    },
                },
                disc(Role::Joint, [3.0 * angle, 0.0], 0.1),
            ],
        }
    };
    let scenes: Vec<Scene> = (0..10).map(rod).collect();
    let trail = Trail::of(&scenes, backdrop(&scenes), false).unwrap();
    assert_eq!(trail.role, Role::Limb);
    assert_eq!(trail.points[5], [0.5_f32.cos(), 0.5_f32.sin()]);
    assert!((trail.length(0, 9) - 0.9).abs() < 0.01);
}

#[test]
fn common_colours_survive_a_full_palette() {
    let mut histogram = Histogram::default();
    let many = |i: u32| [(i % 64) as u8 * 4, (i / 64) as u8 * 4, 77];
    let flat = [1, 2, 3];
    histogram.add((0..4096).map(many));
    histogram.add(std::iter::repeat_n(flat, 5000));
    let palette = Palette::of(histogram);
    let bytes = palette.bytes();
    let shown = |colour| -> [u8; 3] {
        let start = 3 * usize::from(palette.index(colour));
        bytes[start..start + 3].try_into().unwrap()
    };
    assert_eq!(bytes.len(), 3 * 128);
    assert_eq!(shown(flat), flat);
    for colour in (0..4096).map(many) {
        let error = (0..3).map(|i| shown(colour)[i].abs_diff(colour[i])).max();
        assert!(error <= Some(40), "{colour:?} became {:?}", shown(colour));
    }
}

#[test]
fn invalid_input_is_rejected_or_left_out() {
    let film = round(5, 0.05);
    assert!(matches!(
        still(&film, 6, 100),
        Err(PictureError::Moment { step: 6, steps: 5 })
    ));
    for size in [0, 63, 4097, u32::MAX] {
        assert!(matches!(still(&film, 0, size), Err(PictureError::Size(_))));
    }
    for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let refused = animate(&film, 100, speed, |_, _| {});
        assert!(matches!(refused, Err(PictureError::Speed(_))));
    }
    // A diverged simulation, scenes without items, views without area.
    let mut film = Film::new(framed([f32::NAN, f32::INFINITY]), f64::NAN);
    film.push(f64::NAN, framed([f32::MAX, 1e30]));
    film.push(f64::INFINITY, framed([9e4, -9e4]));
    let mut flat = framed([0.0, 0.0]);
    flat.items.push(Item {
        role: Role::Limb,
        shape: Shape::Capsule {
            from: [0.5; 2],
            to: [0.5; 2],
            radius: 0.0,
        },
    });
    film.push(0.0, flat);
    let nothing = Scene {
        view_low: [1.0; 2],
        view_high: [1.0; 2],
        items: Vec::new(),
    };
    film.push(1.0, nothing);
    for size in [64, 200] {
        still(&film, 2, size).unwrap();
        animate(&film, size, 1.0, |_, _| {}).unwrap();
    }
}
