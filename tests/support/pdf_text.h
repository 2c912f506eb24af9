#pragma once

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

#include "tests/support/temp_dir.h"

/// Fontconfig keeps a few hundred bytes per process that nothing gives back. Read by LeakSanitizer, in programs that
/// print.
extern "C" __attribute__((used)) inline const char* __lsan_default_suppressions() { return "leak:libfontconfig.so\n"; }

namespace tidegate::test {

/// What a command prints; throws when it fails. For poppler's tools, which read PDF independently of what wrote it.
inline std::string output_of(const std::string& command) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string out;
  std::array<char, 4096> buffer{};
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe.get()))
    out.append(buffer.data(), got);
  if (pclose(pipe.release()) != 0) throw std::runtime_error(command + " failed; is poppler-utils installed?");
  return out;
}

/// The text of a PDF as it is laid out, form feeds between pages.
inline std::string pdf_text(const std::string& bytes) {
  const TempDir folder;
  const std::string path = folder.file("a.pdf");
  std::ofstream(path, std::ios::binary) << bytes;
  return output_of("pdftotext -layout " + path + " -");
}

/// The table of `pdffonts`: two heading lines, then a font a line.
inline std::string pdf_fonts(const std::string& bytes) {
  const TempDir folder;
  const std::string path = folder.file("a.pdf");
  std::ofstream(path, std::ios::binary) << bytes;
  return output_of("pdffonts " + path);
}

}  // namespace tidegate::test
