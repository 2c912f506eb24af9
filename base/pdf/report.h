#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/core/clock.h"
#include "base/core/result.h"

/// A printed business document: A4 pages of facts, tables and totals. Knows nothing of money: cells are text.
namespace tidegate::pdf {

enum class Align { kLeft, kRight };
struct Column {
  std::string title;
  int width = 1;  ///< share of the table's width
  Align align = Align::kLeft;
};
enum class RowStyle {
  kNormal,
  kSection,   ///< a heading across the table: the first cell
  kSubtotal,  ///< bold, ruled above
};
struct Row {
  RowStyle style = RowStyle::kNormal;
  std::vector<std::string> cells;  ///< as many as columns, or fewer
};
struct Table {
  std::string heading;  ///< "" = none
  std::vector<Column> columns;
  std::vector<Row> rows;
};
/// A name and what belongs to it, in a column of the first page.
struct Block {
  std::string title;
  std::vector<std::string> lines;
};
using Pair = std::pair<std::string, std::string>;

struct Report {
  std::string title;           ///< "Invoice"
  std::string issuer;          ///< at the top right
  std::string mark;            ///< large and pale across every page: "VOID"; "" = none
  std::vector<Pair> facts;     ///< label and value, in two columns
  std::vector<Block> parties;  ///< side by side, at most three
  std::vector<Table> tables;
  std::vector<Pair> totals;  ///< right-hand block after the tables; the last one is emphasised
  std::vector<std::string> notes;
  std::string footer;   ///< bottom left of every page; "Page x of y" stands at the right
  std::string subject;  ///< of the file
  Wall created;         ///< of the file: the same report gives the same bytes
};

struct Rendered {
  std::string bytes;
  int pages = 0;
};

/// Text may be of any script: a font is chosen per character, the fonts used are embedded as subsets, and text can be
/// copied and searched. A table goes on over pages under its repeated header; a row is never split. Thread-safe.
/// Limits: 20,000 rows, 2,000 bytes a cell. Fails: invalid_argument/bad_report, resource_exhausted/report_too_large,
/// internal/pdf_failed.
Result<Rendered> render(const Report& report);

}  // namespace tidegate::pdf
