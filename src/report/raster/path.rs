//! Shapes as paths.

use roxmltree::Node;
use tiny_skia::{Path, PathBuilder, Rect};

use super::number;

/// The outline of a shape element; `None` for one that cannot be drawn.
pub(super) fn of(node: Node) -> Option<Path> {
    let n = |name| number(node, name);
    let or_zero = |name| n(name).unwrap_or(0.0);
    match node.tag_name().name() {
        "rect" => {
            let rect = Rect::from_xywh(or_zero("x"), or_zero("y"), n("width")?, n("height")?)?;
            Some(PathBuilder::from_rect(rect))
        }
        "circle" => PathBuilder::from_circle(or_zero("cx"), or_zero("cy"), n("r")?),
        "line" => {
            let mut path = PathBuilder::new();
            path.move_to(or_zero("x1"), or_zero("y1"));
            path.line_to(or_zero("x2"), or_zero("y2"));
            path.finish()
        }
        "polyline" => polyline(node.attribute("points")?, false),
        "polygon" => polyline(node.attribute("points")?, true),
        "path" => straight(node.attribute("d")?),
        _ => None,
    }
}

fn polyline(points: &str, closed: bool) -> Option<Path> {
    let numbers: Vec<f32> = points
        .split([' ', ','])
        .filter_map(|v| v.parse().ok())
        .collect();
    let mut path = PathBuilder::new();
    for (i, p) in numbers.chunks_exact(2).enumerate() {
        match i {
            0 => path.move_to(p[0], p[1]),
            _ => path.line_to(p[0], p[1]),
        }
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// Paths of straight lines: M, L, l, h, v and z.
fn straight(d: &str) -> Option<Path> {
    let mut path = PathBuilder::new();
    let (mut at, mut start) = ([0.0_f32; 2], [0.0_f32; 2]);
    let mut rest = d.trim();
    while let Some(command) = rest.chars().next() {
        let body = rest.get(command.len_utf8()..)?;
        let end = body
            .find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(body.len());
        let numbers: Vec<f32> = body[..end]
            .split([' ', ','])
            .filter(|v| !v.is_empty())
            .map(|v| v.parse().ok())
            .collect::<Option<_>>()?;
        rest = body[end..].trim_start();
        at = match (command, &numbers[..]) {
            ('M' | 'L', [x, y]) => [*x, *y],
            ('l', [x, y]) => [at[0] + x, at[1] + y],
            ('h', [x]) => [at[0] + x, at[1]],
            ('v', [y]) => [at[0], at[1] + y],
            ('z', []) => start,
            _ => return None,
        };
        match command {
            'M' => {
                start = at;
                path.move_to(at[0], at[1]);
            }
            'z' => path.close(),
            _ => path.line_to(at[0], at[1]),
        }
    }
    path.finish()
}
