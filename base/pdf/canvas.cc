#include "base/pdf/canvas.h"

#include <cairo-pdf.h>

namespace tidegate::pdf {

namespace {

/// The first that has the character. All are packages in deploy/lib/packages.sh.
constexpr const char* kFamilies = "Open Sans, Droid Sans Fallback, sans-serif";
constexpr double kLineSpacing = 1.18;

cairo_status_t append(void* target, const unsigned char* data, unsigned int size) {
  if (target != nullptr) static_cast<std::string*>(target)->append(reinterpret_cast<const char*>(data), size);
  return CAIRO_STATUS_SUCCESS;
}

}  // namespace

Canvas::Canvas(const Report& report, std::string* out)
    : surface_(cairo_pdf_surface_create_for_stream(append, out, kWidth, kHeight)),
      cairo_(cairo_create(surface_.get())),
      fonts_(pango_cairo_font_map_new()),
      context_(pango_font_map_create_context(fonts_.get())),
      layout_(pango_layout_new(context_.get())) {
  // 72 dots an inch: a point is a point.
  pango_cairo_font_map_set_resolution(reinterpret_cast<PangoCairoFontMap*>(fonts_.get()), 72);
  // Hinting is for screens; on paper it would move glyphs from where they were measured.
  cairo_font_options_t* options = cairo_font_options_create();
  cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
  cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
  pango_cairo_context_set_font_options(context_.get(), options);
  cairo_font_options_destroy(options);
  // Of the shapes that Chinese and Japanese share a code for, the simplified Chinese ones.
  pango_context_set_language(context_.get(), pango_language_from_string("zh-cn"));
  pango_context_set_base_dir(context_.get(), PANGO_DIRECTION_LTR);
  // Whole points are coarse at 8 points a line: letters would stand unevenly.
  pango_context_set_round_glyph_positions(context_.get(), FALSE);

  cairo_surface_t* surface = surface_.get();
  cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, report.subject.c_str());
  cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_AUTHOR, report.issuer.c_str());
  cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATOR, "Tidegate");
  const std::string created = format_rfc3339(report.created).substr(0, 19) + "Z";
  cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATE_DATE, created.c_str());
}

Canvas::~Canvas() = default;

void Canvas::prepare(const std::string& text, double width, const Style& style, Align align) {
  PangoFontDescription* font = pango_font_description_from_string(kFamilies);
  pango_font_description_set_size(font, style.size * PANGO_SCALE);
  pango_font_description_set_weight(font, style.is_bold ? PANGO_WEIGHT_SEMIBOLD : PANGO_WEIGHT_NORMAL);
  pango_layout_set_font_description(layout_.get(), font);
  pango_font_description_free(font);
  pango_layout_set_width(layout_.get(), static_cast<int>(width * PANGO_SCALE));
  pango_layout_set_wrap(layout_.get(), PANGO_WRAP_WORD_CHAR);
  pango_layout_set_alignment(layout_.get(), align == Align::kRight ? PANGO_ALIGN_RIGHT : PANGO_ALIGN_LEFT);
  pango_layout_set_line_spacing(layout_.get(), kLineSpacing);
  pango_layout_set_text(layout_.get(), text.data(), static_cast<int>(text.size()));
}

double Canvas::height_of(const std::string& text, double width, const Style& style) {
  prepare(text, width, style, Align::kLeft);
  int height = 0;
  pango_layout_get_size(layout_.get(), nullptr, &height);
  return double(height) / PANGO_SCALE;
}

double Canvas::text(const std::string& text, double x, double y, double width, const Style& style, Align align) {
  prepare(text, width, style, align);
  int height = 0;
  pango_layout_get_size(layout_.get(), nullptr, &height);
  cairo_set_source_rgb(cairo_.get(), style.grey, style.grey, style.grey);
  cairo_move_to(cairo_.get(), x, y);
  pango_cairo_show_layout(cairo_.get(), layout_.get());
  return double(height) / PANGO_SCALE;
}

void Canvas::rule(double x, double y, double width, double grey, double thickness) {
  cairo_set_source_rgb(cairo_.get(), grey, grey, grey);
  cairo_set_line_width(cairo_.get(), thickness);
  cairo_move_to(cairo_.get(), x, y);
  cairo_line_to(cairo_.get(), x + width, y);
  cairo_stroke(cairo_.get());
}

void Canvas::box(double x, double y, double width, double height, double grey) {
  cairo_set_source_rgb(cairo_.get(), grey, grey, grey);
  cairo_rectangle(cairo_.get(), x, y, width, height);
  cairo_fill(cairo_.get());
}

void Canvas::watermark(const std::string& text) {
  constexpr double kTilt = -0.7;  // radians
  const Style style{110, true, 0.93};
  prepare(text, kWidth * 2, style, Align::kLeft);
  int width = 0, height = 0;
  pango_layout_get_size(layout_.get(), &width, &height);
  cairo_save(cairo_.get());
  cairo_translate(cairo_.get(), kWidth / 2, kHeight / 2);
  cairo_rotate(cairo_.get(), kTilt);
  cairo_set_source_rgb(cairo_.get(), style.grey, style.grey, style.grey);
  cairo_move_to(cairo_.get(), -double(width) / PANGO_SCALE / 2, -double(height) / PANGO_SCALE / 2);
  pango_cairo_update_layout(cairo_.get(), layout_.get());
  pango_cairo_show_layout(cairo_.get(), layout_.get());
  cairo_restore(cairo_.get());
  pango_cairo_update_context(cairo_.get(), context_.get());
  pango_layout_context_changed(layout_.get());
}

void Canvas::next_page() { cairo_show_page(cairo_.get()); }

Status Canvas::finish() {
  cairo_show_page(cairo_.get());
  cairo_surface_finish(surface_.get());
  for (const auto status : {cairo_status(cairo_.get()), cairo_surface_status(surface_.get())}) {
    if (status != CAIRO_STATUS_SUCCESS) return fail(Code::kInternal, "pdf_failed", cairo_status_to_string(status));
  }
  return {};
}

}  // namespace tidegate::pdf
