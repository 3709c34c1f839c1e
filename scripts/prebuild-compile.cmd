@node "%~dp0prebuild-compile.mjs" %*
