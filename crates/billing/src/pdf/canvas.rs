//! Pages to draw on, measured in millimetres from the top left corner.

use printpdf::{
    Color, Greyscale, Line, LinePoint, Mm, Op, PaintMode, PdfFontHandle, Point, Pt, Rect, TextItem, WindingOrder,
};

use super::face::Face;

/// A4.
pub const PAGE_WIDTH: f32 = 210.0;
pub const PAGE_HEIGHT: f32 = 297.0;

/// How text looks.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    pub face: Face,
    /// Points.
    pub size: f32,
    /// 0 black … 1 white.
    pub grey: f32,
}

impl Style {
    pub const fn regular(size: f32) -> Self {
        Self { face: Face::Regular, size, grey: 0.0 }
    }
    pub const fn bold(size: f32) -> Self {
        Self { face: Face::Bold, size, grey: 0.0 }
    }
    pub const fn grey(self, grey: f32) -> Self {
        Self { grey, ..self }
    }
}

/// Pages of drawing operations; drawing goes to the page last turned to.
pub struct Canvas {
    pages: Vec<Vec<Op>>,
    current: usize,
}

impl Canvas {
    pub fn new() -> Self {
        Self { pages: vec![Vec::new()], current: 0 }
    }

    pub fn add_page(&mut self) {
        self.pages.push(Vec::new());
        self.current = self.pages.len() - 1;
    }

    pub fn turn_to(&mut self, page: usize) {
        self.current = page.min(self.pages.len() - 1);
    }

    pub fn page_count(&self) -> usize {
        self.pages.len()
    }

    pub fn into_pages(self) -> Vec<Vec<Op>> {
        self.pages
    }

    /// Text whose baseline is at `y`.
    pub fn text(&mut self, x: f32, y: f32, style: Style, text: &str) {
        let text = style.face.settable(text);
        self.draw([
            Op::StartTextSection,
            Op::SetFillColor { col: grey(style.grey) },
            Op::SetFont { font: PdfFontHandle::Builtin(style.face.font()), size: Pt(style.size) },
            Op::SetTextCursor { pos: point(x, y) },
            Op::ShowText { items: vec![TextItem::Text(text)] },
            Op::EndTextSection,
        ]);
    }

    /// Text that ends at `right`.
    pub fn text_right(&mut self, right: f32, y: f32, style: Style, text: &str) {
        let width = style.face.width(&style.face.settable(text), style.size);
        self.text(right - width, y, style, text);
    }

    /// Text around `middle`.
    pub fn text_centred(&mut self, middle: f32, y: f32, style: Style, text: &str) {
        let width = style.face.width(&style.face.settable(text), style.size);
        self.text(middle - width / 2.0, y, style, text);
    }

    /// A horizontal line, `thickness` in points.
    pub fn rule(&mut self, from: f32, to: f32, y: f32, thickness: f32, shade: f32) {
        let points = [from, to].into_iter().map(|x| LinePoint { p: point(x, y), bezier: false }).collect();
        self.draw([
            Op::SetOutlineColor { col: grey(shade) },
            Op::SetOutlineThickness { pt: Pt(thickness) },
            Op::DrawLine { line: Line { points, is_closed: false } },
        ]);
    }

    /// A filled rectangle.
    pub fn fill(&mut self, x: f32, y: f32, width: f32, height: f32, shade: f32) {
        self.draw([
            Op::SetFillColor { col: grey(shade) },
            Op::DrawRectangle { rectangle: rectangle(x, y, width, height, PaintMode::Fill) },
        ]);
    }

    /// An empty rectangle, `thickness` in points.
    pub fn frame(&mut self, x: f32, y: f32, width: f32, height: f32, thickness: f32) {
        self.draw([
            Op::SetOutlineColor { col: grey(0.0) },
            Op::SetOutlineThickness { pt: Pt(thickness) },
            Op::DrawRectangle { rectangle: rectangle(x, y, width, height, PaintMode::Stroke) },
        ]);
    }

    fn draw(&mut self, ops: impl IntoIterator<Item = Op>) {
        if let Some(page) = self.pages.get_mut(self.current) {
            page.extend(ops);
        }
    }
}

fn grey(shade: f32) -> Color {
    Color::Greyscale(Greyscale::new(shade, None))
}

/// PDF counts from the bottom.
fn point(x: f32, y: f32) -> Point {
    Point::new(Mm(x), Mm(PAGE_HEIGHT - y))
}

fn rectangle(x: f32, y: f32, width: f32, height: f32, mode: PaintMode) -> Rect {
    let corner = point(x, y + height);
    Rect {
        x: corner.x,
        y: corner.y,
        width: Mm(width).into_pt(),
        height: Mm(height).into_pt(),
        mode: Some(mode),
        winding_order: Some(WindingOrder::NonZero),
    }
}
