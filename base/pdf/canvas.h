#pragma once

#include <cairo.h>
#include <pango/pangocairo.h>

#include <memory>
#include <string>

#include "base/core/clock.h"
#include "base/core/result.h"
#include "base/pdf/report.h"

namespace tidegate::pdf {

/// Lengths are points (1/72 inch); y grows downwards.
struct Style {
  int size = 9;
  bool is_bold = false;
  double grey = 0.13;  ///< 0 = black
};

/// One PDF being written. Keeps Cairo and Pango out of the layout. One thread.
class Canvas {
 public:
  static constexpr double kWidth = 595.276, kHeight = 841.89;  // A4
  static constexpr double kMargin = 46;

  Canvas(const Report& report, std::string* out);
  ~Canvas();
  Canvas(const Canvas&) = delete;
  Canvas& operator=(const Canvas&) = delete;

  /// Height that `text` takes in a column of `width`, wrapped.
  double height_of(const std::string& text, double width, const Style& style);
  /// Draws it with its top left corner at (x, y); returns its height.
  double text(const std::string& text, double x, double y, double width, const Style& style,
              Align align = Align::kLeft);
  void rule(double x, double y, double width, double grey, double thickness);
  void box(double x, double y, double width, double height, double grey);
  /// Pale text across the page.
  void watermark(const std::string& text);
  void next_page();
  /// Ends the file. Fails: internal/pdf_failed.
  Status finish();

 private:
  template <auto Release>
  struct Closer {
    template <typename T>
    void operator()(T* thing) const {
      Release(thing);
    }
  };
  void prepare(const std::string& text, double width, const Style& style, Align align);

  std::unique_ptr<cairo_surface_t, Closer<cairo_surface_destroy>> surface_;
  std::unique_ptr<cairo_t, Closer<cairo_destroy>> cairo_;
  // A font map of its own: Pango's default one lives as long as its thread and keeps every face it has seen.
  std::unique_ptr<PangoFontMap, Closer<g_object_unref>> fonts_;
  std::unique_ptr<PangoContext, Closer<g_object_unref>> context_;
  std::unique_ptr<PangoLayout, Closer<g_object_unref>> layout_;
};

}  // namespace tidegate::pdf
