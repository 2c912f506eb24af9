# tg_embed(SOURCE NAMESPACE FUNCTION HEADER FILE): writes SOURCE, which defines `std::string FUNCTION()` of NAMESPACE with the
# text of FILE; HEADER declares it. The text must not hold )tidegate" or words between at signs.
function(tg_embed source namespace function header file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} text)
  set(code "#include \"${header}\"\n\nnamespace ${namespace} {\n\nstd::string ${function}() {\n  return R\"tidegate(${text})tidegate\";\n}\n\n}  // namespace ${namespace}\n")
  file(CONFIGURE OUTPUT ${source} CONTENT "${code}" @ONLY NEWLINE_STYLE UNIX)
endfunction()
