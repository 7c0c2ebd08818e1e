{{/* The names of cluster-wide objects end with the installation's name, unless it is `backup`. */}}
{{- define "backup-controller.suffix" -}}
{{- if ne .Values.instance "backup" }}-{{ .Values.instance }}{{ end }}
{{- end -}}

{{/* An image, from the chart and its values. */}}
{{- define "backup-controller.image" -}}
{{- $image := index . 1 -}}
{{- $tag := default (index . 0).Chart.AppVersion $image.tag -}}
{{- $unset := "images.controller.repository and images.mover.repository must be set: build and push the two images (docs/install.md), and name them in the values" -}}
{{ required $unset $image.repository }}{{ ternary "@" ":" (hasPrefix "sha256:" $tag) }}{{ $tag }}
{{- end -}}

{{/* The folders of hosts' disks in the configuration's destinations. The guard allows volumes of these only. */}}
{{- define "backup-controller.host-disks" -}}
{{- $folders := list -}}
{{- range .Values.config.destinations -}}
{{- with .hostPath -}}{{- $folders = append $folders .path -}}{{- end -}}
{{- end -}}
{{ join "," (uniq $folders) }}
{{- end -}}

{{/* The configuration's text. */}}
{{- define "backup-controller.config" -}}
{{- range .Values.config.destinations -}}
{{- if and .hostPath (not $.Values.hostDisks.enabled) -}}
{{- fail (printf "destination %q of config is on a host's disk; set hostDisks.enabled to true" .name) -}}
{{- end -}}
{{- end -}}
{{- if .Values.config }}{{ toYaml .Values.config }}{{ else }}{{ .Files.Get "config.yaml" }}{{ end }}
{{- end -}}
